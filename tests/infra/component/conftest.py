"""A team's project on this machine."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.infra.component import team
from tests.infra.conftest import STANDIN
from tests.infra.project import PLUGIN, Project


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages in which a team has installed ``pulumi_cloister``."""
    folder = tmp_path_factory.mktemp("site")
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", *options, "--target", folder, team.SDK], check=True)
    return folder


@pytest.fixture
def local(tmp_path: Path, site: Path) -> Project:
    """With the component's plugin, and a stand-in in QEMU's place."""
    provider = team.executable(tmp_path, PLUGIN, f'"{sys.executable}" -P "{STANDIN / "provider.py"}"')
    made = Project.create(tmp_path, "lab", {}, provider=provider, plugins={"cloister": team.component(tmp_path)})
    made.environment["STANDIN"] = "ready"
    team.use(made, site)
    return made
