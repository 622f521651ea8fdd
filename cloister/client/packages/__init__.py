"""The packages of an algorithm: requirements as tools write them, their lock, and the bundle of their wheels."""
