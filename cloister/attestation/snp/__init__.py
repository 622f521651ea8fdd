"""AMD SEV-SNP: the report, the certificates of the key that signed it, and what both prove."""
