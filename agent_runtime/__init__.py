"""The agent: the program inside the CVM that parties talk to."""
