"""The values that both ends must compute identically: pure functions, without socket, device or clock."""
