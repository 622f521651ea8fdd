"""Known vulnerabilities of an image: what databases say about the locked versions. No build depends on it."""
