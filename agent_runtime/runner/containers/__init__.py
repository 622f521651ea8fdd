"""Algorithms that are images of containers: the sandboxes in which they are unpacked and run, and what unpacks them."""
