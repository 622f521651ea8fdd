"""The ways through the clouds, as they are described: every verb, option, configuration and policy works."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from invoke.parser import Parser

from cloister.attestation.policy import Policy
from infra import workspace
from tasks import namespace

DOCUMENTS = sorted(Path(__file__).parents[2].joinpath("docs").glob("*.md"))
CLOUDS = [path for path in DOCUMENTS if path.stem in ("azure", "gcp")]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(path: Path, kind: str) -> Iterator[str]:
    for found, text in _BLOCK.findall(path.read_text()):
        if found == kind:
            yield text


def commands(path: Path) -> Iterator[list[str]]:
    """The words after ``invoke`` in each command of the document's blocks, without comments."""
    for text in blocks(path, ""):
        for line in text.replace("\\\n", " ").splitlines():
            for part in line.split("#")[0].split("&&"):
                words = part.split()
                if words[:1] == ["invoke"]:
                    yield words[1:]


@pytest.mark.parametrize("path", CLOUDS, ids=lambda path: path.stem)
def test_every_command_that_is_described_can_be_typed(path: Path):
    described = list(commands(path))
    assert len(described) > 10
    for words in described:
        parsed = Parser(contexts=namespace.to_contexts()).parse_argv(words)
        assert parsed.unparsed == [], words
        # A verb that takes its name without a flag has it.
        assert [one.missing_positional_args for one in parsed if one.name] == [[]], words


@pytest.mark.parametrize("path", CLOUDS, ids=lambda path: path.stem)
def test_configurations_and_policies_that_are_shown_are_valid(path: Path):
    shown: list[dict[str, Any]] = [yaml.safe_load(text) for text in blocks(path, "yaml")]
    configurations = [one["config"]["cloister:workspace"] for one in shown if "config" in one]
    assert [workspace.parse("lab", one).backend for one in configurations] == [path.stem] * len(configurations)
    assert configurations
    for text, one in zip(blocks(path, "yaml"), shown, strict=True):
        if "platforms" in one:
            Policy.parse(text.encode())
