"""A Python algorithm as its author has it: whether the guest can start it, and finds what it imports."""
