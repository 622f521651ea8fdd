"""The manifest of an image in its file."""

from pathlib import Path

from cloister import userfile
from cloister.client.files import document_type
from cloister.errors import InputError
from cloister.protocol import imagemanifest
from cloister.protocol.imagemanifest import ImageManifest
from cloister.userfile import FilePath


def load_image(path: FilePath) -> ImageManifest:
    """The manifest of an image at ``path``, a file or the folder of a built image. Raises InputError."""
    path = Path(path)
    if path.is_dir():
        path /= "manifest.json"
    try:
        data = userfile.read(path, imagemanifest.MAX_SIZE)
    except OSError as error:
        raise userfile.unreadable(
            f"The image manifest {path}",
            error,
            missing="Ask the platform team for it, or build the image yourself in a checkout: invoke image.build",
        ) from error
    try:
        return ImageManifest.parse(data)
    except InputError as error:
        raise document_type.mistaken(path, data, document_type.IMAGE, error) from error
