"""The one computation of a boot: state, assets, run, result and event log."""
