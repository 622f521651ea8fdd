"""The program inside the confidential VM: sessions, assets, the run, results, signed events, evidence of the device."""
