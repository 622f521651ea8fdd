"""The pulumi program: its engine, environment, projects and operations."""
