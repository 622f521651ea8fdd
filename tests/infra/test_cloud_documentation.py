"""The ways through the clouds, as described: every verb, option and configuration, and a party's first steps."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from invoke.parser import Parser

from cloister.attestation.evidence import Platform
from cloister.attestation.first_policy.from_manifest import policy_from_manifest
from cloister.attestation.first_policy.placeholders import placeholders
from cloister.protocol.bootconfig import BootConfiguration
from cloister.protocol.descriptor import CvmEntry, Descriptor
from cloister.protocol.imagemanifest import ImageManifest
from infra.configuration import workspace
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
def test_a_party_s_way_needs_no_policy_written_by_hand(path: Path):
    """Each command of it takes what the one before has written."""
    verbs = [words for words in commands(path) if words[0] in ("policy", "attest")]
    first, look, second, accept = ({word: words[at + 1] for at, word in enumerate(words[:-1])} for words in verbs[:4])
    assert [words[0] for words in verbs[:4]] == ["policy", "attest", "policy", "attest"]
    assert first["--output"] == look["--policy"]
    assert look["--save"] == second["--from-evidence"]
    assert (second["--image"], second["--output"]) == (first["--image"], accept["--policy"])


@pytest.mark.parametrize("path", CLOUDS, ids=lambda path: path.stem)
def test_every_member_that_a_first_policy_leaves_open_is_described(path: Path):
    text = path.read_text()
    for platform in (one for one in Platform if one.startswith(path.stem)):
        boot = BootConfiguration("lab", "trainer", ("00" * 32,))
        descriptor = Descriptor(
            "lab", path.stem, "base", "00" * 32, (), (CvmEntry("trainer", "h:1", platform, boot),), None
        )
        pcrs = dict.fromkeys((4, 9, 11), "11" * 32)
        policy, _ = policy_from_manifest(ImageManifest("base", False, {}, {}, pcrs), descriptor)
        members = [one.member for one in placeholders(policy)]
        assert members
        for member in members:
            assert f"`{member}`" in text or f"`{member.rpartition('.')[2]}`" in text, member


@pytest.mark.parametrize("path", CLOUDS, ids=lambda path: path.stem)
def test_configurations_that_are_shown_are_valid(path: Path):
    shown: list[dict[str, Any]] = [yaml.safe_load(text) for text in blocks(path, "yaml")]
    configurations = [one["config"]["cloister:workspace"] for one in shown if "config" in one]
    assert [workspace.parse("lab", one).backend for one in configurations] == [path.stem] * len(configurations)
    assert configurations
