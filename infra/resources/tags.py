"""What a cloud's VM says of itself, for people and for those who look after it: Azure in tags, GCP in metadata."""

ENDPOINT = "cloister-endpoint"
"""Where its agent listens, ``address:port``."""

IMAGE = "cloister-image"
"""The digest of the image's manifest (hex)."""

BOOT = "cloister-boot-configuration-digest"
"""The digest of its boot configuration (hex)."""
