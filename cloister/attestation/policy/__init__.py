"""The policy document and the images it names."""
