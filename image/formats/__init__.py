"""File formats of a disk. Each module is a pure function from contents to bytes."""
