"""The cloud pages in docs/: configurations and a party's first steps must be valid."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cloister.attestation.evidence import Platform
from cloister.attestation.first_policy.from_manifest import policy_from_manifest
from cloister.attestation.first_policy.placeholders import placeholders
from cloister.protocol.bootconfig import BootConfiguration
from cloister.protocol.descriptor import CvmEntry, Descriptor
from cloister.protocol.imagemanifest import ImageManifest
from infra.configuration import workspace
from tests.pages.markdown import SHELL, blocks

DOCUMENTS = sorted(Path(__file__).parents[2].joinpath("docs").glob("*.md"))
CLOUDS = [path for path in DOCUMENTS if path.stem in ("azure", "gcp")]


def commands(path: Path) -> Iterator[list[str]]:
    """The words after ``invoke`` or ``cloister`` in each command of the document's blocks, without comments."""
    for block in blocks(path, SHELL):
        for _, *words in block.commands("invoke", "cloister"):
            yield words


@pytest.mark.parametrize("path", CLOUDS, ids=lambda path: path.stem)
def test_documented_policy_commands_use_each_others_files(path: Path):
    """Each command reads a file that an earlier one has written."""
    verbs = [words for words in commands(path) if words[0] in ("policy", "attest")]
    first, look, second, accept = ({word: words[at + 1] for at, word in enumerate(words[:-1])} for words in verbs[:4])
    assert [words[0] for words in verbs[:4]] == ["policy", "attest", "policy", "attest"]
    assert first["--output"] == look["--policy"]
    assert look["--save"] == second["--from-evidence"]
    assert (second["--image"], second["--output"]) == (first["--image"], accept["--policy"])


@pytest.mark.parametrize("path", CLOUDS, ids=lambda path: path.stem)
def test_every_placeholder_of_a_first_policy_is_documented(path: Path):
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
def test_documented_configurations_are_valid(path: Path):
    shown: list[dict[str, Any]] = [yaml.safe_load(block.text) for block in blocks(path, "yaml")]
    configurations = [one["config"]["cloister:workspace"] for one in shown if "config" in one]
    assert [workspace.parse("lab", one).backend for one in configurations] == [path.stem] * len(configurations)
    assert configurations
