"""What the platform team's verbs print with --json is as the published schemas say."""

import base64
import dataclasses
import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from cloister.protocol.imagemanifest import ImageManifest
from image.build.verify import Comparison, Verification
from image.platforms.machine_value import MachineValue, MeasuredStep, ValueKind
from infra import report
from infra.live.cvms import DeployedCvm
from infra.live.drift import Difference
from infra.live.status import WorkspaceStatus
from infra.reach import graph
from infra.reach.workspace_graph import WorkspaceGraph
from infra.registry import registries
from infra.registry.registries import RegistryImage
from infra.resources.resource import Resource
from infra.resources.types import LOCAL_CVM
from tests import output_schema
from tests.signed_images import statement

CVM = DeployedCvm("trainer", "urn:x", "127.0.0.1:1", None, "ab" * 32, "cd" * 32, "2 CPUs", "tcg")
RESOURCES = (Resource(LOCAL_CVM, "trainer", {"port": 6110}),)
MEASURED = MachineValue(
    "PCR 4", "", ValueKind.PREDICTED, "ab" * 32, "the image", (MeasuredStep("a loader", "cd" * 32),)
)
SIGNED = ImageManifest("base", False, {}, {}, dict.fromkeys((4, 9, 11, 12, 13), "00" * 32))
REACH = graph.build("local", RESOURCES)


def member() -> dict[str, object]:
    key = ed25519.Ed25519PrivateKey.generate().public_key()
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return {"name": "lab", "roles": ["owner"], "key": base64.b64encode(spki).decode()}


PRINTED = {
    "workspace.status": lambda: report.status(
        WorkspaceStatus("trials", (CVM,), (Difference("trainer", "image", "ab", "cd"),), "why"), as_json=True
    ),
    "workspace.list": lambda: report.workspaces({"trials": (CVM,), "empty": ()}, as_json=True),
    "workspace.reach": lambda: report.reach(REACH, as_json=True),
    "workspace.graph": lambda: report.graph(
        WorkspaceGraph("trials", "local", RESOURCES, REACH, {"trainer": "2 CPUs"}), as_json=True
    ),
    "member.list": lambda: report.members([member()], as_json=True),
    "cache": lambda: report.sizes({"engine": 5, "tools": 0}, as_json=True),
    "image.measure": lambda: print(
        json.dumps({"version": 1, "values": [MEASURED.to_dict(explain=explain) for explain in (False, True)]})
    ),
    "image.sign": lambda: print(statement(SIGNED).encode().decode()),
    "image.verify": lambda: print(
        json.dumps(Verification((Comparison("disk", "ab", "cd"),), ("x",), ("y",)).to_dict())
    ),
}


@pytest.mark.parametrize("verb", PRINTED)
def test_output_is_as_its_schema_says(verb, capsys, monkeypatch):
    monkeypatch.setattr(report, "_agent", lambda cvm: "answers")
    PRINTED[verb]()

    output_schema.validate(f"invoke.{verb}", capsys.readouterr().out)


def test_registry_is_listed_as_its_schema_says(monkeypatch):
    monkeypatch.setattr(registries, "list_images", lambda name: [RegistryImage("base", "ab" * 32, "")])
    monkeypatch.setattr(type(registries.PROJECT), "outputs", lambda project, name: {"destination": "gs://x"})

    output_schema.validate("invoke.registry.list", json.dumps(registries.facts("images")))


def test_every_member_of_a_machine_is_in_the_schema():
    output_schema.validate(
        "invoke.workspace.status",
        json.dumps(
            {"workspace": "w", "cvms": [dataclasses.asdict(CVM) | {"agent": "-"}], "drift": [], "not_compared": ""}
        ),
    )
