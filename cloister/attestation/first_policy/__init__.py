"""First policies: from an image manifest and a workspace descriptor, or from a machine's own evidence."""
