"""Access to the platform: its TPM, hardware reports, metadata service and boot logs."""
