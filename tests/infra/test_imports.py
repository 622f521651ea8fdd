"""A local workspace must not load the clouds' SDKs."""

import subprocess
import sys

import pytest

CLOUDS = ("pulumi_azure_native", "pulumi_gcp", "azure.identity", "azure.storage", "google.cloud.storage")


def loaded(code: str) -> list[str]:
    """The modules of the clouds that are loaded after ``code`` ran in a separate process."""
    listing = f"import sys\n{code}\nprint([name for name in {CLOUDS!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-P", "-c", listing], capture_output=True, text=True, check=True)
    return eval(done.stdout)


LOCAL = (
    "infra.backends.local",
    "infra.guard.guard",
    "infra.resources.labels",
    "infra.configuration.workspace",
    "infra.live.workspaces",
    "tasks",
)


def test_local_workspace_loads_no_cloud_sdk():
    assert loaded("\n".join(f"import {module}" for module in LOCAL)) == []


@pytest.mark.parametrize(("backend", "sdk"), [("azure", "pulumi_azure_native"), ("gcp", "pulumi_gcp")])
def test_cloud_backend_loads_only_its_own_sdk(backend: str, sdk: str):
    assert loaded(f"import infra.backends.{backend}") == [sdk]
