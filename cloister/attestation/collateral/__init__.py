"""The collateral for one verdict: what is usable, and what its vendor did not sign."""
