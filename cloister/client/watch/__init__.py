"""News of a computation: when it is a party's turn, when a result is ready, and when it ended without one."""
