"""docs/errors.md is complete and matches the source."""

from pathlib import Path

import pytest

from tools.errors_page import page
from tools.errors_page.sites import ErrorSite, ErrorSources

ERRORS = """
class CloisterError(Exception):
    exit_code: int = 1
    remedy: str = "Try again."

    def __init__(self, message: str, *, hint: str = "", exit_code: int | None = None) -> None:
        self.message = message

class InputError(CloisterError):
    exit_code = 2
"""
CODE = """
from cloister.errors import CloisterError, InputError

_LIMIT = 4 * 1024

class FieldError(InputError):
    remedy = "Correct the field."

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}.")

def read(path, data):
    if not data:
        raise InputError(f"{path.name} is empty.", hint="Choose another file.")
    if len(data) > _LIMIT:
        raise _too_large(len(data))
    said = "old" if data[0] else "new"
    raise FieldError("version", f"is {said}")

def _too_large(size: int) -> InputError:
    return InputError(f"{size} bytes are more than {_LIMIT}.", exit_code=CloisterError.exit_code)
"""


@pytest.fixture(scope="module")
def sources() -> ErrorSources:
    return ErrorSources.read()


@pytest.fixture(scope="module")
def text(sources: ErrorSources) -> str:
    return page.page(sources)


TWO_METHODS = """
from cloister.errors import CloisterError, InputError

class FieldError(InputError):
    remedy = "Correct the field."

class Document:
    def error(self, said: str) -> InputError:
        return InputError(said)

class Image:
    def error(self, said: str) -> FieldError:
        return FieldError(said)

def read(of):
    raise of.error("It is empty.")
"""


def test_method_whose_error_cannot_be_told_is_refused(tmp_path: Path) -> None:
    """The remedy of an image stood beside the messages of manifests: two classes had a method of one name."""
    (tmp_path / "cloister").mkdir()
    (tmp_path / "cloister" / "errors.py").write_text(ERRORS)
    (tmp_path / "cloister" / "code.py").write_text(TWO_METHODS)

    with pytest.raises(ValueError, match="calls error, and several methods make different errors"):
        _ = ErrorSources.read(tmp_path).sites


def test_site_has_message_hint_and_exit_code(tmp_path: Path) -> None:
    (tmp_path / "cloister").mkdir()
    (tmp_path / "cloister" / "errors.py").write_text(ERRORS)
    (tmp_path / "cloister" / "code.py").write_text(CODE)

    assert ErrorSources.read(tmp_path).sites == [
        ErrorSite("cloister.code", 14, "cloister.errors.InputError", "<name> is empty.", "Choose another file.", 2),
        ErrorSite("cloister.code", 16, "cloister.errors.InputError", "<number> bytes are more than 4096.", "", 1),
        ErrorSite("cloister.code", 18, "cloister.code.FieldError", "version: is new.", "", 2),
        ErrorSite("cloister.code", 18, "cloister.code.FieldError", "version: is old.", "", 2),
    ]


def test_every_row_has_cause_remedy_and_exit_code(sources: ErrorSources) -> None:
    listed = page.rows(sources)
    incomplete = [
        row
        for entries in listed.values()
        for row, _ in entries
        if not (row.cause and row.remedy and row.exit_code in range(1, 7))
    ]

    assert len(listed) > 10
    assert incomplete == []


def test_every_error_class_of_the_product_is_listed_or_a_base(sources: ErrorSources) -> None:
    errors = {name for name in sources.classes if sources.is_error(name)}
    made = {one for site in sources.sites for one in sources.ancestry(site.error)}

    assert errors - made == set()


def test_every_verb_is_listed(text: str) -> None:
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| `")]

    assert len(page.verbs()) > 40
    assert set(page.verbs()) <= {name.strip("`") for name in rows}


def test_every_reason_of_the_agent_has_a_remedy() -> None:
    from agent_runtime.errors import Reason
    from cloister.client.connection import refusal

    assert [reason for reason in Reason if not refusal.remedy(reason.value)[0]] == []


def test_placeholders_are_nouns(text: str) -> None:
    """What a call's method or an internal name says is not what a reader can look for."""
    verbal = {"<without credentials>", "<removeprefix>", "<what>", "<partition>", "<quote>", "<shown>", "<relative to>"}

    assert {one for one in verbal if one.replace("<", "\\<") in text} == set()


@pytest.mark.parametrize(
    ("words", "cell"),
    [
        ("<name> has a | in it_", r"\<name> has a \| in it\_"),
        ("Run `keys --kind <a|b>`.", r"Run `keys --kind <a\|b>`."),
    ],
)
def test_cell_is_escaped_for_markdown(words: str, cell: str) -> None:
    assert page._cell(words) == cell


def test_committed_page_matches_the_source(text: str) -> None:
    assert page.PAGE.read_text(encoding="utf-8") == text


def test_a_verb_has_the_errors_of_what_it_calls_and_no_others(text: str) -> None:
    rows = {line.split("`")[1]: line.split("|")[2].split(",") for line in text.splitlines() if line.startswith("| `")}

    assert [code.strip() for code in rows["review"]] == ["2", "3"]
    assert [code.strip() for code in rows["checksum"]] == ["1", "2"]
    assert [code.strip() for code in rows["attest"]] == ["1", "2", "3", "4", "5"]
