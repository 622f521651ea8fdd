"""docs/attestation.md lists every check with its source and its test, and says nothing that does not exist."""

import importlib.util
import re
from pathlib import Path

from cloister.attestation.checks import CHECKS_OF

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "attestation.md").read_text()


def _rows() -> list[list[str]]:
    section = PAGE.split("## Checks of the platform local")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


def test_the_table_has_every_check_once_and_in_order() -> None:
    assert [row[0] for row in _rows()] == list(CHECKS_OF["local"])


def test_every_row_names_a_source_an_existing_file_and_an_existing_test() -> None:
    spec = importlib.util.spec_from_file_location("checks_of_local", Path(__file__).with_name("test_local.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert set(module.CASES) == set(CHECKS_OF["local"])
    for name, promise, source, file, test in _rows():
        assert promise and source
        assert (ROOT / "cloister" / "attestation" / file.strip("`")).is_file()
        assert test == f"`test_only_what_is_wrong_is_refused[{name}]`"


def test_every_file_that_the_page_names_exists() -> None:
    folders = [ROOT, ROOT / "cloister" / "attestation", ROOT / "tests" / "attestation"]
    for name in re.findall(r"`([a-z_/]+\.(?:py|json))`", PAGE):
        assert any((folder / name).is_file() for folder in folders), name
