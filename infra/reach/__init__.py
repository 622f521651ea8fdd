"""Who can reach what in a workspace, computed from the declared resources without asking a cloud."""
