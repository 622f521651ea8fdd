"""Fixtures: the image and a workspace."""

from collections.abc import Iterator

import pytest

from image.build import incremental, output
from infra.configuration import image
from infra.configuration.image import Image
from tests.e2e.workspace import RunningWorkspace
from tests.guest_tree import allowed, tree

__all__ = ["allowed", "tree"]


@pytest.fixture(scope="session")
def base_image() -> Image:
    """The image of flavor base, built from this checkout with the cache."""
    incremental.build("base", output.folder("base"), relock=True)
    return image.find("base")


@pytest.fixture(scope="session")
def workspace(base_image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorkspace]:
    """A workspace of the real engine, for all tests (one boot); destroyed afterwards."""
    running = RunningWorkspace.create(tmp_path_factory.mktemp("workspace"), base_image)
    with running.destroyed_at_end():
        yield running
