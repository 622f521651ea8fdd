"""The component in a team's own program, in a folder of its own, with the real engine and plugin."""

import json
from pathlib import Path

import pytest

from cloister.errors import CloisterError
from cloister.protocol.descriptor import Descriptor
from cloister.protocol.imagemanifest import ImageManifest
from infra import caches
from infra.component.servicer import SCHEMA
from tests.infra.clouds import project as clouds
from tests.infra.clouds import workspaces
from tests.infra.component import team
from tests.infra.project import Project

pytestmark = pytest.mark.engine

WRONG = """
import pulumi_cloister as cloister
cloister.Workspace(
    "covid-consortium",
    backend="local",
    image="base",
    members=[{"name": "lab", "key": "key", "roles": ["guest"]}],
    cvms=[{"name": "trainer", "memory": "lots", "ssh": True}, {"name": "scorer", "vcpus": 0}],
    endpoint="public",
)
"""
PROBLEMS = (
    "cloister:index:Workspace resource 'covid-consortium' has a problem: "
    "The configuration of workspace 'covid-consortium' is invalid:",
    "workspace.members[0].roles: invalid role 'guest'",
    "workspace.members: no member is an owner",
    "workspace.cvms[0].ssh: unknown key",
    "workspace.cvms[0].memory: invalid size 'lots'",
    "workspace.cvms[1].vcpus: must be an integer from 1 to 64, not 0.",
    "workspace.endpoint: ",
)


def test_example_of_the_page_runs_from_up_to_destroy(
    local: Project, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    team.adopt(local, team.example("python", "pulumi.export"), {"image": str(image)})
    local.up(create=4)
    outputs = json.loads(local.pulumi("stack", "output", "--json"))
    descriptor = Descriptor.parse(local.pulumi("stack", "output", "descriptor").strip().encode())
    digest = ImageManifest.parse(image.read_bytes()).digest().hex()
    assert (descriptor.workspace, descriptor.image) == (team.WORKSPACE, digest)
    assert [member.name for member in descriptor.members] == ["lab", "hospital-1"]
    assert {cvm.name: cvm.endpoint for cvm in descriptor.cvms} == outputs["endpoints"]
    assert (local.state / team.WORKSPACE / "trainer").is_dir()
    local.up(same=4)
    monkeypatch.setenv("CLOISTER_STATE", str(local.state))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(CloisterError, match=rf"^A workspace is up: {team.WORKSPACE}\."):
        caches.clear()

    # An official release generates packages for other languages from it.
    told = json.loads(local.pulumi("package", "get-schema", str(tmp_path / team.PLUGIN / team.PLUGIN)))
    assert told["resources"] == json.loads(SCHEMA.read_text())["resources"]

    (local.folder / "__main__.py").write_text(WRONG)
    said = local.pulumi("preview", good=False)
    assert [problem for problem in PROBLEMS if problem not in " ".join(said.split())] == []
    # The SDK of the program adds a traceback of its own when the engine stops it.
    assert "infra/component" not in said

    (local.folder / "__main__.py").write_text(team.example("python", "pulumi.export"))
    local.pulumi("destroy", "--yes", "--skip-preview")
    assert not (local.state / team.WORKSPACE).exists()


GUARDED = """
import pulumi
import pulumi_cloister as cloister
import yaml

def open_ssh(arguments):
    if arguments.type_ != "gcp:compute/firewall:Firewall" or not arguments.props.get("allows"):
        return None
    allows = [*arguments.props["allows"], {"protocol": "tcp", "ports": ["22"]}]
    return pulumi.ResourceTransformResult({**arguments.props, "allows": allows}, arguments.opts)

def ssh(network, **options):
    inputs = {"network": network, "allows": [{"protocol": "tcp", "ports": ["22"]}], "sourceRanges": ["0.0.0.0/0"]}
    provider = pulumi.ProviderResource("gcp", "own", {"project": "my-project"})
    opts = pulumi.ResourceOptions(provider=provider, **options)
    return pulumi.CustomResource("gcp:compute/firewall:Firewall", "ssh", inputs, opts)

declaration = yaml.safe_load(open("workspace.yaml"))
"""
OPEN = {
    "by a transform": (
        'pulumi.runtime.register_resource_transform(open_ssh)\ncloister.Workspace("lab", **declaration)',
        "gcp:compute/firewall:Firewall 'cloister-lab-allow-agent' is refused: it must allow only TCP to port 6110.",
    ),
    "by the workspace's own transform": (
        'cloister.Workspace("lab", opts=pulumi.ResourceOptions(transforms=[open_ssh]), **declaration)',
        "gcp:compute/firewall:Firewall 'cloister-lab-allow-agent' is refused: it must allow only TCP to port 6110.",
    ),
    "by a rule in its network": (
        'made = cloister.Workspace("lab", **declaration)\nssh("cloister-lab-1234567", depends_on=[made])',
        "gcp:compute/firewall:Firewall 'ssh' is refused: it refers to 'cloister-lab-1234567', which belongs to the "
        "workspace 'lab'; only that may change it.",
    ),
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, site: Path) -> Project:
    """A team's project in Google Cloud, whose registry has the image."""
    folder = tmp_path_factory.mktemp("team")
    image = workspaces.manifest(folder)
    value = workspaces.value("gcp", image)
    made = clouds.create(folder, "lab", {}, further={"cloister": team.component(folder)})
    workspaces.publish(made, "gcp", image)
    team.adopt(made, "")
    team.use(made, site)
    (made.folder / "workspace.yaml").write_text(json.dumps(value))
    return made


OFTEN = "by the workspace's own transform"


@pytest.mark.parametrize("name", [pytest.param(one, marks=() if one == OFTEN else pytest.mark.rare) for one in OPEN])
def test_public_ssh_port_is_refused(name: str, guarded: Project):
    program, sentence = OPEN[name]
    (guarded.folder / "__main__.py").write_text(GUARDED + program)
    said = " ".join(guarded.pulumi("preview", good=False).split())
    assert sentence in said


@pytest.mark.rare
def test_rule_in_a_network_of_the_team_is_allowed(guarded: Project):
    program = 'made = cloister.Workspace("lab", **declaration)\nssh("bastions", depends_on=[made])'
    (guarded.folder / "__main__.py").write_text(GUARDED + program)
    assert "gcp:compute:Firewall" in guarded.pulumi("preview")
