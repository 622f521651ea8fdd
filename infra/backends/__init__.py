"""One module per backend; ``WorkspaceComponent`` has the same arguments and outputs in each."""
