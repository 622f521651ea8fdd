"""The reason why an image of a container is refused."""

from cloister.errors import InputError

SAVE = (
    "Write the image again: `docker save IMAGE -o image.tar` (Docker 25 or newer), `podman save --format oci-archive "
    "-o image.tar IMAGE`, or `skopeo copy SOURCE oci-archive:image.tar`."
)
AGAIN = "Get or write the archive again; the copy is incomplete or was changed."


class ContainerError(InputError):
    """An archive holds no image that a machine can run."""

    remedy = SAVE
