"""From an address to a bound session, and what its refusals mean."""
