"""Secure Boot: a publisher's keys, signed kernel images, and what firmware with these keys measures."""
