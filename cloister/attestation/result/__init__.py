"""The attestation result (RFC 9334): checks and their outcomes, the verdict, likely causes, and used collateral."""
