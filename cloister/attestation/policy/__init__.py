"""The policy document and its reference values of images."""
