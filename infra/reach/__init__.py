"""Who can reach what in a workspace, computed from what is declared, without asking a cloud."""
