"""TPM 2.0: structures, commands and logs."""
