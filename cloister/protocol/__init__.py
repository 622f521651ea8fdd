"""What both ends must compute identically: pure functions and frozen values, without socket, device or clock."""
