"""One module per cloud; ``RegistryComponent`` has the same arguments and outputs in each."""
