"""The collateral of one appraisal: what can be parsed, and what its vendor did not sign."""
