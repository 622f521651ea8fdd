"""The program of a workspace: what it loads, and how it ends when it must not go on."""

import ast
import json
import subprocess
import sys

import pytest

from cloister.errors import InputError
from infra import paths
from infra.configuration.validation import ConfigurationError
from infra.live import workspaces as stack
from infra.pulumi_cli import project as projects
from infra.resources import program
from tests.infra.clouds import workspaces
from tests.infra.project import Project

BACKENDS = ("azure", "gcp", "local")
CLOUDS = ("pulumi_azure_native", "pulumi_gcp", "azure", "google.cloud")

LOCAL = """
import json, sys
sys.path.insert(0, sys.argv[1])
from pulumi.runtime import mocks
import infra.backends.local, infra.configuration.workspace, infra.guard.guard, infra.live.workspaces, infra.report
import infra.resources.labels, infra.tasks
print(json.dumps(sorted(sys.modules)))
"""


def test_a_local_workspace_loads_no_sdk_of_a_cloud():
    done = subprocess.run(
        [sys.executable, "-c", LOCAL, str(paths.CHECKOUT)], stdout=subprocess.PIPE, check=True, text=True
    )
    loaded = json.loads(done.stdout)
    assert "infra.backends.local" in loaded
    assert [name for name in loaded if name.startswith(CLOUDS)] == []


def test_the_program_imports_a_backend_by_its_name_only():
    """What is imported at the top of the program is loaded whatever the backend is."""
    program = ast.parse((paths.CHECKOUT / "infra" / "__main__.py").read_text())
    imported = {
        name
        for node in ast.walk(program)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        for name in (alias.name, f"{getattr(node, 'module', '')}.{alias.name}", str(getattr(node, "module", "")))
    }
    assert [name for name in imported for backend in BACKENDS if name.startswith(f"infra.backends.{backend}")] == []


def test_missing_sdk_is_reported(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pulumi_gcp", None)
    monkeypatch.delitem(sys.modules, "infra.backends.gcp", raising=False)
    with pytest.raises(InputError) as caught:
        program.backend("infra.backends", "gcp")
    assert caught.value.message == "The backend gcp needs pulumi_gcp, which is not installed."
    assert caught.value.hint == "Install it: make gcp"


# Programs that a guard is for: they declare something else than the backend would, by changing it first.
WRONG = {
    "ssh": (
        "gcp",
        "from infra.backends.gcp import network\nnetwork.PORT = 22",
        "gcp:compute/firewall:Firewall 'cloister-lab-allow-agent' is refused: it must allow only TCP to port 6110.",
    ),
    "a way out": (
        "gcp",
        "from infra.backends.gcp import network\nnetwork.EVERYWHERE = '192.0.2.0/24'",
        "gcp:compute/instance:Instance 'trainer' is refused: trainer can connect over any protocol to 10.99.0.0/24; "
        "a CVM must open no connection.",
    ),
    "no walls": (
        "azure",
        "from infra.backends.azure import network\nnetwork.security_rules = lambda *_: []",
        "azure-native:compute:VirtualMachine 'trainer' is refused: trainer accepts any protocol from everywhere, "
        "which workspace.ingress does not allow.",
    ),
    "another package": (
        "gcp",
        "import pulumi\nimport infra.backends.gcp as b\nold = b.machine.public_address\n"
        "b.names.account = lambda name: pulumi.ComponentResource('docker:index:Container', name) and 'cloister-lab'",
        "docker:index:Container 'lab' is refused: the type docker:index:Container is not allowed in a "
        "workspace with the backend gcp.",
    ),
}


@pytest.fixture(scope="module")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Project]:
    made = {}
    for backend in ("azure", "gcp"):
        folder = tmp_path_factory.mktemp(backend)
        image = workspaces.manifest(folder)
        made[backend] = workspaces.create(folder, workspaces.value(backend, image), image)
    return made


@pytest.mark.engine
@pytest.mark.parametrize("name", WRONG)
def test_violated_rule_ends_the_program_with_a_message(name: str, clouds: dict[str, Project]):
    backend, change, sentence = WRONG[name]
    project = clouds[backend]
    main = project.folder / "__main__.py"
    right = main.read_text()
    main.write_text(f"{change}\n{right}")
    try:
        said = project.pulumi("preview", good=False)
    finally:
        main.write_text(right)
    assert f"error: {sentence}" in " ".join(said.split())
    assert "Traceback" not in said


@pytest.mark.engine
@pytest.mark.parametrize(
    ("backend", "sentences"),
    [
        (
            "azure",
            [
                "a joined network -> scorer:6110 from 198.51.100.0/24 (none joined)",
                "a joined network -> trainer:6110 from 198.51.100.0/24 (none joined)",
                "scorer -> the platform: host, metadata",
                "trainer -> the platform: host, metadata",
            ],
        ),
        pytest.param(
            "gcp",
            [
                "a joined network -> scorer:6110 from 198.51.100.0/24 (none joined)",
                "a joined network -> trainer:6110 from 198.51.100.0/24 (none joined)",
                "scorer -> the platform: metadata, names",
                "trainer -> the platform: metadata, names",
            ],
            marks=pytest.mark.rare,
        ),
    ],
)
def test_before_the_first_up_reach_shows_the_plan(
    backend: str, sentences: list[str], clouds: dict[str, Project], monkeypatch: pytest.MonkeyPatch
):
    project = clouds[backend]
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(stack, "PROJECT", projects.Project(project.folder, stack.KEY, "workspace"))
    assert stack.reach("lab", planned=False).sentences() == [
        *sentences,
        "scorer -> nothing else",
        "trainer -> nothing else",
        "the internet -> nothing",
        "other workspaces -> nothing",
    ]


@pytest.mark.engine
def test_failing_preview_of_reach_reports_why(clouds: dict[str, Project], monkeypatch: pytest.MonkeyPatch):
    project = clouds["gcp"]
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(stack, "PROJECT", projects.Project(project.folder, stack.KEY, "workspace"))
    settings = project.folder / "Pulumi.lab.yaml"
    right = settings.read_text()
    try:
        settings.write_text(right.replace("198.51.100.0/24", "0.0.0.0/0"))
        with pytest.raises(ConfigurationError, match=r"workspace\.ingress: admits all of 0\.0\.0\.0/0"):
            stack.reach("lab", planned=True)
        settings.write_text(right.replace("image: ", "image: absent"))
        with pytest.raises(
            projects.StackError, match=r"^pulumi preview --json: The image 'absent[^']*' does not exist\."
        ):
            stack.reach("lab", planned=True)
    finally:
        settings.write_text(right)
