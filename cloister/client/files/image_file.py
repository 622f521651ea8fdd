"""The manifest of an image, and the statement about a signed one, in their files."""

from pathlib import Path

from cloister import userfile
from cloister.client.files import document_type
from cloister.errors import InputError
from cloister.protocol import imagemanifest, signedimage
from cloister.protocol.imagemanifest import ImageManifest
from cloister.protocol.signedimage import SignedImage
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


def load_signed(path: FilePath) -> SignedImage:
    """The statement about a signed image at ``path``, a file or the folder of the image. Raises InputError."""
    path = Path(path)
    if path.is_dir():
        path /= signedimage.FILE
    try:
        data = userfile.read(path, signedimage.MAX_SIZE)
    except OSError as error:
        raise userfile.unreadable(
            f"The statement about a signed image {path}", error, missing="Ask the platform team for it."
        ) from error
    try:
        return SignedImage.parse(data)
    except InputError as error:
        raise document_type.mistaken(path, data, document_type.SIGNED, error) from error
