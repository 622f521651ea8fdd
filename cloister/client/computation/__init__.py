"""A computation from manifest to timeline: prepare, review, submit, upload, follow."""
