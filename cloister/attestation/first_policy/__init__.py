"""First policies: from an image manifest, or from a machine's own evidence."""
