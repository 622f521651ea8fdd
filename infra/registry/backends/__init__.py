"""One module per cloud: ``Registry`` has the same arguments and outputs in each."""
