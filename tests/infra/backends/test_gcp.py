"""Resources that the Google Cloud backend declares."""

import re
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cloister.protocol.descriptor import Descriptor
from cloister.protocol.imagemanifest import ImageManifest, ImageOutput
from infra.backends import gcp
from infra.backends.gcp import names
from infra.configuration import workspace
from infra.configuration.image import Image
from infra.live import rehearsed
from infra.reach import graph
from tests.infra import declarations, recorder
from tests.signed_images import statement

CONFIGURATIONS = Path(__file__).parents[1] / "declarations"
PROJECT_NUMBER = "123456789012"
ANSWERS = {
    "gcp:organizations/getProject:getProject": {"number": PROJECT_NUMBER},
    "gcp:serviceaccount/account:Account": {"email": "cloister-lab@my-project.iam.gserviceaccount.com"},
    "gcp:compute/address:Address cloister-lab-trainer": {"address": "192.0.2.10"},
    "gcp:compute/address:Address cloister-lab-evaluator": {"address": "192.0.2.11"},
    "pulumi:pulumi:StackReference": {"outputs": {}},
}


INSTANCE = "gcp:compute/instance:Instance"
ROUTE = "gcp:compute/route:Route"


def image(size: int = 150 << 20, *, signed: bool = False) -> Image:
    outputs = {"disk.raw": ImageOutput("11" * 32, size)}
    inputs = dict.fromkeys(("recipe", "lock", "tools", "source"), "00" * 32)
    pcrs = dict.fromkeys((4, 9, 11, 12, 13), "00" * 32)
    manifest = ImageManifest(flavor="base", debug=False, inputs=inputs, outputs=outputs, pcrs=pcrs)
    return Image(manifest, Path("image"), statement(manifest) if signed else None)


def configuration(name: str, **changes: Any) -> workspace.WorkspaceConfiguration:
    value = yaml.safe_load((CONFIGURATIONS / f"{name}.yaml").read_text())
    return workspace.parse("lab", value | changes)


def declare(
    configured: workspace.WorkspaceConfiguration, of: Image | None = None
) -> tuple[dict[str, dict[str, Any]], Descriptor]:
    found = of or image()
    identifier = f"projects/images/global/images/cloister-{found.deployed[:12]}"
    outputs = {"images": {found.deployed: {"flavor": "base", "id": identifier}}}
    answers = ANSWERS | {"pulumi:pulumi:StackReference": {"outputs": outputs}}
    resources, value = recorder.declare(
        lambda: gcp.WorkspaceComponent(configured, found, pulumi.ResourceOptions()).descriptor, answers
    )
    return resources, Descriptor.from_value(value)


@pytest.mark.parametrize("name", ["gcp-private-snp", "gcp-public-tdx"])
def test_declarations_match_the_golden_file(name: str):
    resources, descriptor = declare(configuration(name))
    recorder.compare(name, {"resources": resources, "descriptor": descriptor.value()})


@pytest.mark.parametrize(("name", "signed"), [("gcp-private-snp", None), ("gcp-public-tdx", None)])
def test_rehearsal_declares_what_the_engine_would_see(name: str, signed: Image | None):
    """The graph of a workspace is drawn from it."""
    found = rehearsed.declared(configuration(name), signed or image())
    golden = declarations.resources(f"{name}-signed" if signed else name)
    assert {one.key for one in found} - {("pulumi:pulumi:Stack", "cloister-lab")} == {one.key for one in golden}
    assert graph.build("gcp", found).sentences() == graph.build("gcp", golden).sentences()


def test_private_workspace_has_no_external_address_and_no_route():
    resources, _ = declare(configuration("gcp-private-snp"))
    assert [name for name in resources if name.startswith((ROUTE, "gcp:compute/address:"))] == []
    interface = resources[f"{INSTANCE} trainer"]["inputs"]["networkInterfaces"][0]
    assert "accessConfigs" not in interface


def test_public_workspace_routes_answers_to_ingress_only():
    changes = {"ingress": ["198.51.100.0/24", "10.1.0.0/16", "192.168.7.0/24"]}
    resources, _ = declare(configuration("gcp-public-tdx", **changes))
    routes = [one["inputs"]["destRange"] for name, one in resources.items() if name.startswith(ROUTE)]
    assert routes == ["198.51.100.0/24"]


def test_only_public_ingress_gets_a_default_route():
    resources, _ = declare(configuration("gcp-public-tdx", ingress=["0.0.0.0/0"], public=True))
    routes = [one["inputs"]["destRange"] for name, one in resources.items() if name.startswith(ROUTE)]
    assert routes == ["0.0.0.0/0"]


def test_every_resource_is_in_the_configured_project():
    resources, _ = declare(configuration("gcp-public-tdx"))
    provider = "pulumi:providers:gcp gcp"
    inputs = resources.pop(provider)["inputs"]
    assert (inputs["project"], inputs["region"]) == ("my-project", "europe-west4")
    del resources["cloister:index:Workspace lab"]
    assert {one["options"]["provider"] for one in resources.values()} == {provider}
    assert [name for name, one in resources.items() if "project" in one["inputs"]] == []


def test_machines_depend_on_network_rules_and_on_the_previous_machine():
    resources, _ = declare(configuration("gcp-public-tdx"))
    rules = {name for name in resources if name.startswith(("gcp:compute/firewall:", ROUTE))}
    key = {name for name in resources if name.startswith("gcp:kms/cryptoKeyIAMMember:")}
    for cvm, before in (("trainer", set()), ("evaluator", {f"{INSTANCE} trainer"})):
        waits = set(resources[f"{INSTANCE} {cvm}"]["options"]["depends_on"])
        assert rules | key | before <= waits
    assert f"{INSTANCE} evaluator" not in resources[f"{INSTANCE} trainer"]["options"]["depends_on"]


def test_signed_image_boots_with_secure_boot():
    resources, _ = declare(configuration("gcp-private-snp"), image(signed=True))
    assert resources[f"{INSTANCE} trainer"]["inputs"]["shieldedInstanceConfig"]["enableSecureBoot"] is True


@pytest.mark.parametrize(("size", "gibibytes"), [(1, 10), (10 << 30, 10), ((10 << 30) + 1, 11)])
def test_disk_is_large_enough_for_the_image(size: int, gibibytes: int):
    resources, _ = declare(configuration("gcp-private-snp"), image(size))
    assert resources[f"{INSTANCE} trainer"]["inputs"]["bootDisk"]["initializeParams"]["size"] == gibibytes


def test_image_missing_in_the_registry_is_refused():
    with pytest.raises(pulumi.RunError, match="does not hold the image"):
        recorder.declare(
            lambda: (
                gcp.WorkspaceComponent(configuration("gcp-private-snp"), image(), pulumi.ResourceOptions()).descriptor
            ),
            ANSWERS,
        )


_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?\Z")
_NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)


@given(_NAMES, _NAMES)
def test_names_meet_googles_limits(workspace: str, cvm: str):
    """Including the suffix that the provider adds to a prefix."""
    for name in (f"{names.prefix(workspace, cvm)}-0123abc", names.instance(workspace, cvm)):
        assert _LABEL.match(name)
        assert len(name) <= 63
    assert _LABEL.match(names.account(workspace))
    assert 6 <= len(names.account(workspace)) <= 30


def test_long_names_with_a_common_prefix_stay_distinct():
    long = "a" * 62
    assert names.account(f"{long}b") != names.account(f"{long}c")
    assert names.instance("lab", f"{long}b") != names.instance("lab", f"{long}c")
