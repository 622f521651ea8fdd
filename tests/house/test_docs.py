"""What the pages say that code can contradict: links, commands, paths, and what is not supported yet."""

import re
import tomllib
from pathlib import Path

import pytest

import tasks
from cloister import cli
from cloister.protocol import schema
from cloister.protocol.document import Document
from cloister.protocol.manifest import KINDS
from tools.stubs import ROOT

PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md", "benchmarks/*.md", "findings/*.md", "image/**/*.md")
    for path in ROOT.glob(pattern)
)
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)\s]+)?\)")
COMMAND = re.compile(r"(?:^|[`\s(])(?<!from )(invoke|cloister) ([a-z][a-z.-]+)(?=[`\s,;:)]|$)", re.MULTILINE)
CODE = re.compile(r"```.*?```|`[^`]+`|^    .*$", re.DOTALL | re.MULTILINE)


def names(namespace) -> set[str]:
    return set(namespace.task_names) | {alias for value in namespace.task_names.values() for alias in value}


def identifier(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=identifier)
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = [
        target
        for target, _ in LINK.findall(page.read_text())
        if not target.startswith(("http:", "https:", "mailto:")) and not (page.parent / target).exists()
    ]
    assert broken == []


def headings(page: Path) -> set[str]:
    """The anchors that a forge makes of a page's headings."""
    found = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {"#" + re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in found}


@pytest.mark.parametrize("page", PAGES, ids=identifier)
def test_every_anchor_is_a_heading(page: Path) -> None:
    anchors = re.findall(r"\]\(([^)#\s]*)(#[^)\s]+)\)", page.read_text())
    local = [(target, anchor) for target, anchor in anchors if not target.startswith(("http:", "https:"))]
    assert [pair for pair in local if pair[1] not in headings(page.parent / pair[0] if pair[0] else page)] == []


@pytest.mark.parametrize("page", PAGES, ids=identifier)
def test_every_command_exists(page: Path) -> None:
    verbs = {"cloister": names(cli.collection()), "invoke": names(tasks.namespace)}
    code = "\n".join(CODE.findall(page.read_text()))
    assert [(program, verb) for program, verb in COMMAND.findall(code) if verb not in verbs[program]] == []


PARTY_PAGES = [
    "README.md",
    "docs/azure.md",
    "docs/gcp.md",
    "docs/glossary.md",
    "docs/protocol.md",
    "docs/threat-model.md",
    "docs/attestation.md",
]


@pytest.mark.parametrize("page", PARTY_PAGES)
def test_parties_are_told_the_command_that_they_have(page: str) -> None:
    """A party has ``cloister``; ``invoke`` exists in a checkout only, where ``doctor`` checks more."""
    party = names(cli.collection()) - {"doctor"}
    code = "\n".join(CODE.findall((ROOT / page).read_text()))
    assert [verb for program, verb in COMMAND.findall(code) if program == "invoke" and verb in party] == []


def test_the_index_lists_every_page() -> None:
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / target).resolve() for target, _ in LINK.findall(index.read_text())}
    pages = {page.resolve() for page in (ROOT / "docs").rglob("*.md") if "decisions" not in page.parts} - {index}
    assert pages - linked == set()


def test_the_index_of_decisions_lists_every_decision() -> None:
    folder = ROOT / "docs" / "decisions"
    linked = {target for target, _ in LINK.findall((folder / "index.md").read_text())}
    assert {page.name for page in folder.glob("*.md")} - {"index.md"} <= linked


@pytest.mark.parametrize("page", ["docs/architecture.md", "docs/protocol.md"])
def test_every_path_that_a_page_names_exists(page: str) -> None:
    text = (ROOT / page).read_text()
    paths = re.findall(r"`((?:cloister|agent_runtime|image|infra|tests|tools|docs|proto)/[\w./*-]*)`", text)
    assert paths
    assert [path for path in paths if not list(ROOT.glob(path.rstrip("/")))] == []


def test_the_architecture_names_every_top_folder() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]
    assert [name for name in packages if f"`{name}/`" not in text] == []


SHIPPED = [
    *PAGES,
    *(
        path
        for folder in ("cloister", "infra")
        for end in ("py", "j2", "js")
        for path in ROOT.glob(f"{folder}/**/*.{end}")
    ),
]


def test_no_one_is_told_to_install_the_package_of_that_name_in_a_registry() -> None:
    """Someone else owns it. A wheel or a checkout is named by its path."""
    by_name = re.compile(r"\bpipx? (?:install|inject)(?: -\S+)* ['\"]?cloister(?![\w./-])")
    assert by_name.search("pipx install --force 'cloister[page]'")
    assert not by_name.search("pip install ./cloister-0.1.0-py3-none-any.whl")
    assert [identifier(path) for path in SHIPPED if by_name.search(path.read_text())] == []


def test_the_threat_model_names_the_kinds_that_no_agent_runs() -> None:
    text = (ROOT / "docs" / "threat-model.md").read_text().split("## Not in this version")[1]
    assert {kind for kind in ("python", "binary", "wasm", "oci") if f"`{kind}`" in text}.isdisjoint(KINDS)


MANIFEST = re.compile(r"```yaml\n(version: 1\n[^`]*algorithm:[^`]*)```")
MANIFESTS = [
    pytest.param(page, text, id=f"{identifier(page)}-{number}")
    for page in PAGES
    for number, text in enumerate(MANIFEST.findall(page.read_text()))
]


@pytest.mark.parametrize(("page", "text"), MANIFESTS)
def test_every_manifest_has_the_form_that_authors_write(page: Path, text: str) -> None:
    schema.validate("manifest-source", Document.parse(page.name, text.encode()).value, what="The manifest")


def test_page_for_people_from_cocos_has_a_manifest_for_each_program() -> None:
    assert [param.values[0].name for param in MANIFESTS].count("coming-from-cocos.md") == 5
