"""One module per kind of machine: ``Workspace`` has the same arguments and outputs in each."""
