"""Deployed workspaces: stacks, machines, members, drift."""
