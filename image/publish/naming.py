"""What an image's disk is called where it is published: the image's name is in it, so that one name has one content."""

VHD = ".vhd"
TAR_GZ = ".tar.gz"


def blob_name(flavor: str, digest: str, suffix: str) -> str:
    """``cloister-<flavor>-<digest><suffix>``; ``digest`` is that of the image's manifest, lower-case hex."""
    return f"cloister-{flavor}-{digest}{suffix}"
