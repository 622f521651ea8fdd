"""What goes into an image: recipe, lock, fetched files and host tools."""
