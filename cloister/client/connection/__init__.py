"""From an address to a bound session, and from an agent's refusals to errors."""
