"""The live page: the party's computations in its browser, read-only, served on this machine only."""
