"""The name of a published disk. It contains the image's digest, so one name has one content."""

VHD = ".vhd"
TAR_GZ = ".tar.gz"


def blob_name(flavor: str, digest: str, suffix: str) -> str:
    """``cloister-<flavor>-<digest><suffix>``; ``digest`` is that of the image's manifest, or of the statement about a
    signed image, lower-case hex.
    """
    return f"cloister-{flavor}-{digest}{suffix}"
