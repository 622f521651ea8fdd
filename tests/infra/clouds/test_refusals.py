"""For each refusal in the table, one change to an accepted resource causes it and no other."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from infra.resources.placeholders import COMPUTED
from tests.infra.clouds import check, refusals, schema
from tests.infra.clouds.refusals import ImmutableInput, Refusal

ACCEPTED = sorted((Path(__file__).parent / "accepted").glob("*.json"))


def accepted(name: str) -> tuple[str, dict[str, Any]]:
    """Type and inputs of a resource that a cloud accepts."""
    value = json.loads((Path(__file__).parent / "accepted" / f"{name}.json").read_text())
    return value["type"], value["inputs"]


def changed(inputs: dict[str, Any], changes: dict[str, Any], without: tuple[str, ...] = ()) -> dict[str, Any]:
    """``inputs`` with ``changes`` by path: ``*N`` stands for N characters, ``#N`` for a map of N entries, ``=path`` for
    the value at another path.
    """
    found = copy.deepcopy(inputs)
    for path, value in changes.items():
        if isinstance(value, str) and value.startswith("*"):
            value = "x" * int(value[1:])
        elif isinstance(value, str) and value.startswith("#"):
            value = {f"label-{number}": "x" for number in range(int(value[1:]))}
        elif isinstance(value, str) and value.startswith("="):
            value = copy.deepcopy(next(refusals.values(found, value[1:])))
        _put(found, re.split(r"\.|(?=\[)", path), value)
    for path in without:
        _put(found, re.split(r"\.|(?=\[)", path), None)
    return found


def _put(target: Any, steps: list[str], value: Any) -> None:
    first, rest = steps[0], steps[1:]
    key = int(first[1:-1]) if first.startswith("[") else first
    if rest:
        _put(target[key] if isinstance(target, list) else target.setdefault(key, {}), rest, value)
    elif value is None:
        target.pop(key, None)
    else:
        target[key] = value


@pytest.mark.parametrize("path", ACCEPTED, ids=[path.stem for path in ACCEPTED])
def test_accepted_resource_is_not_refused(path: Path):
    token, inputs = accepted(path.stem)
    assert list(check.properties(schema.resource(token).inputs, inputs)) == []
    assert list(refusals.of(token, inputs)) == []
    assert list(refusals.of_change(token, inputs, inputs)) == []


@pytest.mark.parametrize("refusal", refusals.table(), ids=[one.name for one in refusals.table()])
def test_one_change_causes_one_refusal(refusal: Refusal):
    token, inputs = accepted(refusal.start)
    wrong = changed(inputs, dict(refusal.breaks), refusal.without)
    assert token in refusal.types
    assert list(check.properties(schema.resource(token).inputs, wrong)) == []
    assert [sentence for _, sentence in refusals.of(token, wrong)] == [refusal.sentence]


@pytest.mark.parametrize(
    "one", refusals.immutable_inputs(), ids=[f"{one.type}-{one.path}" for one in refusals.immutable_inputs()]
)
def test_immutable_input_cannot_change(one: ImmutableInput):
    token, inputs = accepted(one.start)
    wrong = changed(inputs, dict(one.breaks))
    assert token == one.type
    assert list(refusals.of_change(token, inputs, wrong)) == [one.sentence]


@pytest.mark.parametrize("refusal", refusals.table(), ids=[one.name for one in refusals.table()])
def test_every_refusal_names_its_source(refusal: Refusal):
    assert refusal.sentence.endswith(".")
    assert len(refusal.source) > 15


@pytest.mark.parametrize("path", ACCEPTED, ids=[path.stem for path in ACCEPTED])
def test_unknown_values_in_a_preview_are_not_refused(path: Path):
    token, inputs = accepted(path.stem)
    unknown = dict.fromkeys(inputs, COMPUTED)
    assert list(check.properties(schema.resource(token).inputs, unknown)) == []
    assert list(refusals.of(token, unknown)) == []


@pytest.mark.parametrize("data", ["{}", "AAAA" * 22_000])
def test_user_data_must_be_base64_and_at_most_64_kilobytes(data: str):
    token, inputs = accepted("azure-vm")
    found = list(refusals.of(token, inputs | {"userData": data}))
    assert found == [("userData", "User data is base64 and at most 64 KB.")]
