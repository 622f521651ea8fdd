"""Confidential computations of several parties: everything that a party installs, and what both ends share."""
