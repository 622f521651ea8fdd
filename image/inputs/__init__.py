"""The inputs of an image: recipe, lock, fetched files and host tools."""
