"""Build an image, predict its measurements, verify and compare images."""
