"""The layout: small folders, short files, unique class names."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("agent_runtime", "benchmarks", "cloister", "examples", "image", "infra", "tools")
MOST_ENTRIES = 16
MOST_LINES = 300
REASON = "Long because"
"""How a sentence of the module's docstring begins if the file has more lines."""

LARGE_FOLDERS = {
    "cloister": "a folder for each layer, and the few files that all of them use",
    "cloister/client": "a folder for each thing that a party does",
    "cloister/client/computation": "one file for each step of a computation, as a party takes it",
    "infra": "a folder for each part of the program, the verbs, and what all of them use",
    "benchmarks": "one file for each benchmark",
    "cloister/attestation": "a folder for each vendor, for each format and for each step from evidence to a verdict",
    "cloister/cli": "one file for each verb of a party",
    "image": "a folder for each step of a build and of a release, those of recipes and locks, and what all of them use",
    "cloister/protocol/schemas": "one schema for each document",
    "cloister/protocol/schemas/output": "one schema for each verb",
    "cloister/protocol": "one file for each document, rule or format that both ends compute",
}
_STAND_IN = "the test kit's stand-in for the class of the product"
_CLOUDS = "the same in each cloud's backend"
SHARED_NAMES = {
    "Attester": _STAND_IN,
    "LocalMachine": _STAND_IN,
    "DiskKey": _CLOUDS,
    "Network": _CLOUDS,
    "RegistryComponent": _CLOUDS,
    "WorkspaceComponent": _CLOUDS,
}
"""Names that several classes have, with the reason."""


def _modules() -> list[Path]:
    found = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return [path for path in found if not path.is_relative_to(ROOT / "cloister" / "v1")]


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_folders_are_small() -> None:
    folders = {path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_dir()}
    folders = {path for path in folders if path.name != "__pycache__"}
    entries = {
        _name(folder): len([one for one in folder.iterdir() if one.name not in ("__pycache__", "__init__.py")])
        for folder in folders | {ROOT / package for package in PACKAGES}
    }

    assert {name: count for name, count in entries.items() if count > MOST_ENTRIES and name not in LARGE_FOLDERS} == {}


def test_long_files_say_why() -> None:
    silent = []
    for path in _modules():
        source = path.read_text(encoding="utf-8")
        if source.count("\n") > MOST_LINES and REASON not in (ast.get_docstring(ast.parse(source)) or ""):
            silent.append(_name(path))

    assert silent == []


def test_class_names_are_unique() -> None:
    places = defaultdict(list)
    for path in _modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(_name(path))

    shared = {name: found for name, found in places.items() if len(found) > 1}
    assert {name: found for name, found in shared.items() if name not in SHARED_NAMES} == {}
