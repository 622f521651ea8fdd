"""Builds, measures, verifies and publishes the guest image."""
