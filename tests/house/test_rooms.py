"""The import-linter contract finds every import that a room's rule forbids."""

import tomllib

import grimp
import pytest

from tools.rooms import ForbiddenImport, forbidden_imports
from tools.stubs import ROOT

PACKAGES = ["cloister", "infra"]


@pytest.fixture
def graph() -> grimp.ImportGraph:
    graph = grimp.ImportGraph()
    for importer, imported in [
        ("infra.guard", "cloister.errors"),
        ("infra.guard", "cloister.client.files.keys"),
        ("infra.guard", "cloister.errors_of_others"),
        ("infra.guard", "infra.configuration.workspace"),
        ("infra.guard", "json"),
        ("cloister.client.files.keys", "infra.configuration.workspace"),
    ]:
        graph.add_import(importer=importer, imported=imported, line_number=7, line_contents="import")
    return graph


def test_import_outside_the_contract_is_found(graph: grimp.ImportGraph) -> None:
    assert forbidden_imports(graph, "infra", ["cloister.errors"], PACKAGES) == [
        ForbiddenImport("infra.guard", "cloister.client.files.keys", (7,)),
        ForbiddenImport("infra.guard", "cloister.errors_of_others", (7,)),
    ]


def test_allowed_room_covers_its_subpackages(graph: grimp.ImportGraph) -> None:
    assert forbidden_imports(graph, "infra", ["cloister"], PACKAGES) == []


def test_every_room_has_a_contract() -> None:
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    rooms = {contract["room"] for contract in linter["contracts"] if contract["type"] == "room"}
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks", "examples"}

    assert folders <= rooms
    assert folders == set(linter["root_packages"])
