"""What the machines of these tests run."""

from collections.abc import Iterator

import pytest

from image.build import builder, output
from infra.configuration import image
from infra.configuration.image import Image
from tests.e2e.workspace import RunningWorkspace


@pytest.fixture(scope="session")
def base_image() -> Image:
    """The image of flavor base, built from this checkout: every step that was made before is taken from the cache."""
    builder.build("base", output.folder("base"), relock=True)
    return image.find("base")


@pytest.fixture(scope="session")
def workspace(base_image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorkspace]:
    """A workspace through the real engine, for all tests that need one (one boot); gone without a trace afterwards."""
    running = RunningWorkspace.create(tmp_path_factory.mktemp("workspace"), base_image)
    try:
        yield running
    finally:
        # A run that a test has left unfinished keeps nobody's machine alive.
        running.project.environment["CLOISTER_FORCE"] = "1"
        running.project.pulumi("destroy", "--yes", "--skip-preview")
    assert running.project.nothing_is_left()
