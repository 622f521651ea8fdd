"""What the machines of these tests run."""

import pytest

from image import build, output
from infra import image
from infra.image import Image


@pytest.fixture(scope="session")
def base_image() -> Image:
    """The image of flavor base, built from this checkout: every step that was made before is taken from the cache."""
    build.build("base", output.folder("base"))
    return image.find("base")
