"""What changed between two locks or two images, as change control needs it."""
