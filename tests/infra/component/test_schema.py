"""The schema of the component, the parser behind it, and the package that is generated from it."""

import importlib
import inspect
import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct

from infra.component import inputs
from infra.component.servicer import SCHEMA
from infra.configuration import workspace
from infra.configuration.validation import ConfigurationError
from infra.resources.placeholders import COMPUTED
from infra.resources.types import WORKSPACE

SCHEMA_VALUE = json.loads(SCHEMA.read_text())
RESOURCE = SCHEMA_VALUE["resources"][WORKSPACE]
SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "value": "key"}


def known_keys(value: dict[str, Any], path: str) -> set[str]:
    """The keys that the parser knows at ``path``, from what it says about an unknown one."""
    with pytest.raises(ConfigurationError) as caught:
        workspace.parse("lab", value)
    (said,) = [one for one in caught.value.problems if one.startswith(f"{path}.unheard-of: unknown key")]
    return set(said.rpartition("known keys: ")[2].removesuffix(".").split(", "))


@pytest.mark.parametrize(
    ("name", "value", "path"),
    [
        ("", {"unheard-of": 1}, "workspace"),
        ("Member", {"members": [{"unheard-of": 1}]}, "workspace.members[0]"),
        ("Invitation", {"invitations": [{"unheard-of": 1}]}, "workspace.invitations[0]"),
        ("Cvm", {"cvms": [{"unheard-of": 1}]}, "workspace.cvms[0]"),
        ("Azure", {"backend": "azure", "azure": {"unheard-of": 1}}, "workspace.azure"),
        ("Gcp", {"backend": "gcp", "gcp": {"unheard-of": 1}}, "workspace.gcp"),
    ],
)
def test_schema_has_the_keys_of_the_parser(name: str, value: dict[str, Any], path: str):
    declared = SCHEMA_VALUE["types"][f"cloister:index:{name}"]["properties"] if name else RESOURCE["inputProperties"]
    assert set(declared) == known_keys(value, path)


def test_schema_has_the_keys_of_both_budgets():
    known = [
        known_keys({"backend": cloud, "budget": {"unheard-of": 1}}, "workspace.budget") for cloud in ("azure", "gcp")
    ]
    assert set(SCHEMA_VALUE["types"]["cloister:index:Budget"]["properties"]) == set.union(*known)


def test_package_has_what_the_schema_has(site: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(site))
    package = importlib.import_module("pulumi_cloister")
    made = inspect.signature(package.Workspace._internal_init).parameters
    assert set(made) - {"__self__", "resource_name", "opts", "__props__"} == set(RESOURCE["inputProperties"])
    assert [name for name in RESOURCE["properties"] if not isinstance(getattr(package.Workspace, name), property)] == []
    for token, value in SCHEMA_VALUE["types"].items():
        made = inspect.signature(getattr(package, f"{token.rpartition(':')[2]}Args")).parameters
        assert set(made) - {"__self__"} == set(value["properties"])


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"image": COMPUTED}, "workspace.image: is not known before the program has run."),
        ({"cvms": [{"name": "a"}, {"name": COMPUTED}]}, "workspace.cvms[1].name: is not known before"),
        ({"members": [{"key": SECRET}]}, "workspace.members[0].key: is a secret"),
        ({"labels": SECRET}, "workspace.labels: is a secret"),
    ],
)
def test_unreadable_input_is_refused(value: dict[str, Any], said: str):
    struct = Struct()
    struct.update(value)
    with pytest.raises(ConfigurationError) as caught:
        inputs.check("lab", struct)
    (problem,) = caught.value.problems
    assert problem.startswith(said)
