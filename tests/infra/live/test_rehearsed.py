"""A workspace's file alone says what it would declare: no engine, no state and no cloud is asked."""

import json
from pathlib import Path

import pytest
import yaml

from cloister.errors import InputError
from infra.configuration.image import ImageMissing
from infra.live import rehearsed, workspaces
from infra.pulumi_cli.project import Project
from tests.infra.clouds import workspaces as cloud_workspaces


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder, on a machine without an engine."""
    monkeypatch.setattr(workspaces, "PROJECT", Project(tmp_path, workspaces.KEY, "workspace"))
    monkeypatch.setattr("infra.pulumi_cli.engine.find", lambda: None)
    return tmp_path


def configure(folder: Path, image: str, **changes: object) -> None:
    cvm = {"name": "trainer", "memory": "4GiB", "port": 6110}
    members = [{"name": "lab", "key": cloud_workspaces.key(), "roles": ["owner"]}]
    value = {"backend": "local", "image": image, "members": members, "cvms": [cvm], **changes}
    (folder / "Pulumi.trial.yaml").write_text(yaml.safe_dump({"config": {workspaces.KEY: value}}))


def test_graph_of_a_file(folder: Path):
    configure(folder, str(cloud_workspaces.manifest(folder)))
    found = rehearsed.graph("trial")
    value = json.loads(json.dumps(found.value()))
    assert [(one["name"], one["uses"]) for one in value["resources"]] == [
        ("authority", []),
        ("trainer", [["cloister-local:index:Authority", "authority"]]),
    ]
    assert [(edge["source"], edge["target"], edge["service"]) for edge in value["edges"]] == [
        ("this machine", "trainer", "tcp/6110")
    ]
    assert any("not confidential<br/>2 vCPUs<br/>4 GiB" in line for line in found.mermaid())


def test_errors_are_those_of_the_file(folder: Path):
    configure(folder, "missing.json")
    with pytest.raises(ImageMissing, match="does not exist"):
        rehearsed.graph("trial")
    configure(folder, "base", cvms=[])
    with pytest.raises(InputError, match=r"workspace\.cvms"):
        rehearsed.graph("trial")
    (folder / "Pulumi.trial.yaml").write_text("config: [")
    with pytest.raises(InputError, match=r"Cannot read .*Pulumi\.trial\.yaml"):
        rehearsed.graph("trial")
