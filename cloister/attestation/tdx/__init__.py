"""Intel TDX: what a quote says, who signed it, and whether Intel still stands behind the machine that made it."""
