"""The configuration of a workspace: read, validated, frozen."""
