"""What a computation waits for."""
