"""What only some kinds of algorithm need: the host of WebAssembly modules, and the sandboxes of container images."""
