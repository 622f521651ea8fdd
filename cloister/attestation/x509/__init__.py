"""X.509 certificates and revocation lists."""
