"""The one computation of a machine's life: its state, its assets, its run and its result."""
