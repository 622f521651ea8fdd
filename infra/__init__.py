"""The Pulumi program of a workspace, its verbs, and the provider of local CVMs."""
