"""The ways through a cloud in docs/: every command exists with its options, every document in them is accepted."""

import re
import shlex
from collections.abc import Iterator

import pytest
import yaml
from invoke.parser import Parser

import tasks
from cloister.attestation.policy import Policy
from cloister.protocol import canonical
from infra import layout, workspace
from infra.stack import KEY

DOCUMENTS = ["azure", "gcp"]


def text(name: str) -> str:
    return (layout.CHECKOUT / "docs" / f"{name}.md").read_text()


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text(name), re.DOTALL | re.MULTILINE)


def commands(name: str) -> Iterator[list[str]]:
    """The words after `invoke` of every command, in blocks and in the text."""
    lines = [line for block in blocks(name, "") for line in block.replace("\\\n", " ").splitlines()]
    lines += re.findall(r"`(invoke [^`]+)`", text(name))
    for line in lines:
        if found := re.match(r"(?:[A-Z_]+=\S+ )*invoke (.*)", line):
            yield shlex.split(found[1], comments=True)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_command_exists_with_its_options(name: str):
    contexts = tasks.namespace.to_contexts()
    verbs = {context.name for context in contexts}
    found = list(commands(name))
    assert len(found) > 10
    for words in found:
        assert words[0] in verbs
        # The name of a verb alone is a mention, and no command.
        if len(words) > 1:
            assert [context.name for context in Parser(contexts=contexts).parse_argv(words)] == [words[0]]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_configuration_is_accepted(name: str):
    found = [yaml.safe_load(block) for block in blocks(name, "yaml")]
    configured = [value["config"][KEY] for value in found if "config" in value]
    assert [workspace.parse("covid-consortium", value).backend for value in configured] == [name]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_policy_is_accepted(name: str):
    found = [yaml.safe_load(block) for block in blocks(name, "yaml")]
    policies = [Policy.parse(canonical.encode(value)) for value in found if "platforms" in value]
    assert [[platform.value for platform in policy.platforms] for policy in policies] == [[f"{name}-snp"]]
