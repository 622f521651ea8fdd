"""Facts that Cloister stores on a cloud's VM: in tags on Azure, in metadata on GCP."""

ENDPOINT = "cloister-endpoint"
"""The endpoint of its agent, ``address:port``."""

IMAGE = "cloister-image"
"""The digest of the image's manifest (hex)."""

BOOT = "cloister-boot-configuration-digest"
"""The digest of its boot configuration (hex)."""
