"""File formats that make up a disk, each written by a function of its contents."""
