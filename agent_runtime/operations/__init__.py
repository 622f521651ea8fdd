"""How the agent does: counters, its own log, the host's clock. Nothing here is measured while an algorithm runs."""
