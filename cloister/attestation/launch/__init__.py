"""Launch measurements: what a firmware file says of its own launch, and the values that AMD and Intel measure."""
