"""The name of a published disk. It contains the digest of the image's manifest, so one name has one content."""

VHD = ".vhd"
TAR_GZ = ".tar.gz"


def blob_name(flavor: str, digest: str, suffix: str) -> str:
    """``cloister-<flavor>-<digest><suffix>``; ``digest`` is that of the image's manifest, lower-case hex."""
    return f"cloister-{flavor}-{digest}{suffix}"
