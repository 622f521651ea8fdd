"""Signed statements about images: a builder's provenance, a publisher's life cycle, and who signed a given one."""
