"""What may never be deployed, whatever the program says."""
