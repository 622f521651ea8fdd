"""Runs the ``pulumi`` program: engine, environment, projects, operations and locks."""
