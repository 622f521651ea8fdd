"""What files may be called is one rule, the same under every version of Python."""

import shlex
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from cloister.protocol import names, text
from cloister.protocol.document import Document

TAKEN = (
    "h1.csv",
    "Patienten 2024.csv",
    "2026-01-02 10:30:00.csv",
    "10:30",
    "scan (3) [final] {x}.csv",
    'it\'s "quoted".csv',
    "a\\b.csv",
    "what?*<|>.csv",
    "#1 & 50% of $HOME; -rf ~ `x`.csv",
    "-rf",
    ".hidden",
    "a.",
    " leading and trailing ",
    "R\u00f6ntgen.csv",
    "Ro\u0308ntgen.csv",
    "\u60a3\u8005.csv",
    "\ud658\uc790.csv",
    "\u0628\u064a\u0627\u0646\u0627\u062a.csv",
    "Bildschirmfoto 10.00.00\u202fAM.png",
    "\u2764\ufe0f \U0001f600.csv",
    "2024",
    "1e5",
    "0x10",
    "true",
    "null",
    "~",
    "CON",
    "x" * 255,
    "\u00fc" * 127,
)
"""Names of people's files. As paths, too: the rule is the same in a folder."""

TOGETHER = tuple({names.same_as(name): name for name in TAKEN}.values())
"""Those of them that can lie in one folder: of names that look the same, one."""

IN_PROOF_FOLDER = (
    "cloister",
    "cloister/more.json",
    "cloister/deep/more.json",
    "Cloister/events.jsonl",
    "CLOISTER/events.jsonl",
    "cloi\u017fter/events.jsonl",
    "cloister./events.jsonl",
    "cloister ./events.jsonl",
    "cloister\\events.jsonl",
    "Cloister.\\events.jsonl",
    "cloister::$INDEX_ALLOCATION/events.jsonl",
    "CLOIST~1/events.jsonl",
    "cloist~1",
)
"""Where a file of a run could replace a part of the proof: here, on macOS or on Windows."""

BESIDE_PROOF_FOLDER = (
    "cloister.json",
    "cloisters/a",
    "cloist~/a",
    "cloister~1/a",
    "my cloister/a",
    ".cloister",
    "models/cloister/events.jsonl",
    "models\\cloister",
    "clo\u0131ster",
    "cl\u00f6ister",
)
"""Names that look like it, and lie elsewhere."""

REFUSED = {
    "": "is empty",
    ".": "leads out of its folder",
    "..": "leads out of its folder",
    "..\\x": "leads out of its folder",
    "a\\..\\x": "leads out of its folder",
    "\\\\server\\share": "leads out of its folder",
    "\\x": "leads out of its folder",
    "x\\": "leads out of its folder",
    "c:": "leads out of its folder",
    "c:\\x": "leads out of its folder",
    "a\nb": "control character U+000A",
    "a\0b": "control character U+0000",
    "a\x1b[2Jb": "control character U+001B",
    "a\x7fb": "control character U+007F",
    "a\x9bb": "control character U+009B",
    "a\u202eb": "invisible character U+202E",
    "a\u2066b": "invisible character U+2066",
    "a\u200bb": "invisible character U+200B",
    "a\u200db": "invisible character U+200D",
    "a\u2028b": "invisible character U+2028",
    "a\ufeffb": "invisible character U+FEFF",
    "a\u00adb": "invisible character U+00AD",
    "a\u3164b": "invisible character U+3164",
    "a\ufe00b": "invisible character U+FE00",
    "a\U000e0041b": "invisible character U+E0041",
    "a\ue000b": "not a Unicode character",
    "a\U0010fffdb": "not a Unicode character",
    "a\uffffb": "not a Unicode character",
    "a\U0001fffeb": "not a Unicode character",
    "a\udcffb": "is not UTF-8",
    "x" * 256: "has 256 bytes; a name has at most 255",
    "\u00fc" * 128: "has 256 bytes; a name has at most 255",
}


@pytest.mark.parametrize("name", TAKEN)
def test_name_of_a_file_is_taken_at_every_level(name: str) -> None:
    assert names.problem(name) is None
    assert names.path_problem(f"{name}/deep/{name}") is None


@pytest.mark.parametrize("name", REFUSED, ids=ascii)
def test_name_is_refused_with_its_reason_at_every_level(name: str) -> None:
    assert REFUSED[name] in (names.problem(name) or "")
    for path in (f"{name}/a", f"a/{name}", f"a/{name}/b"):
        assert names.path_problem(path) is not None


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("", "is empty"),
        ("/a", "absolute"),
        ("a/", "ends with /"),
        ("a//b", "side by side"),
        ("/".join(["x" * 200] * 5 + ["y" * 20]), "has 1025 bytes"),
        ("/".join("x" * 35), "lies 34 folders deep; at most 33"),
        ("a/../b", "leads out"),
        ("./a", "leads out"),
        ("c:/a", "leads out"),
    ],
)
def test_path_is_refused_with_its_reason(path: str, why: str) -> None:
    assert why in (names.path_problem(path) or "")


def test_path_of_the_greatest_length_and_depth_is_taken() -> None:
    assert names.path_problem("/".join(["x" * 200] * 5 + ["y" * 19])) is None
    assert names.path_problem("/".join("x" * 34)) is None


def test_names_that_differ_in_composition_only_are_twins() -> None:
    assert names.twins(["a", "\u00fc.csv", "b", "u\u0308.csv"]) == ("\u00fc.csv", "u\u0308.csv")
    assert names.twins(["a", "a"]) == ("a", "a")
    assert names.twins(["a", "A", "\u00fc", "\u00dc", "u"]) is None


def test_tables_are_those_of_this_pythons_unicode() -> None:
    for point in range(sys.maxunicode + 1):
        kind = unicodedata.category(chr(point))
        if kind in ("Cf", "Zl", "Zp"):
            assert text.first_invisible(f"a{chr(point)}") == f"U+{point:04X}", hex(point)
        if kind in ("Cc", "Cs", "Co"):
            assert names.problem(f"a{chr(point)}") is not None, hex(point)


@pytest.mark.parametrize("name", TAKEN)
def test_shown_name_can_be_pasted_into_a_manifest(name: str) -> None:
    said = names.shown(name)
    assert said.isprintable()
    assert Document.parse("it", f"file: {said}\n".encode()).value == {"file": name}


def test_shown_names_tell_what_looks_the_same_apart() -> None:
    alike = ["a.csv", " a.csv", "a.csv ", "a\u00a0.csv", "a\u202f.csv", "a\ufe0f.csv", "\u00e4.csv", "a\u0308.csv"]
    said = [names.shown(name) for name in alike]
    assert said == [
        "a.csv",
        '" a.csv"',
        '"a.csv "',
        '"a\\u00a0.csv"',
        '"a\\u202f.csv"',
        '"a\\ufe0f.csv"',
        '"\u00e4.csv"',
        '"a\\u0308.csv"',
    ]


@pytest.mark.parametrize("name", REFUSED, ids=ascii)
def test_refused_name_is_shown_without_what_it_hides(name: str) -> None:
    assert names.shown(name).isprintable()
    assert names.shown("\udcff\n") == '"\\xff\\u000a"'


@pytest.mark.parametrize(
    "name", [*TAKEN, *REFUSED, "-x", "--policy=other.json", "a$(id)", "a`id`", "a;id", "~", "#a"], ids=ascii
)
def test_quoted_name_is_one_word_of_a_command_and_no_option(name: str) -> None:
    said = names.quoted(name)
    (word,) = shlex.split(said)
    assert word.removeprefix("./") == text.printable(name).removeprefix("./")
    assert said.isprintable()
    assert not word.startswith("-")


def test_only_the_standard_library_is_needed() -> None:
    root = Path(names.__file__).parents[2]
    code = f"import sys; sys.path.insert(0, {str(root)!r}); before = set(sys.modules)\n"
    code += "import cloister.protocol.names; print(*{m.split('.')[0] for m in set(sys.modules) - before})"
    said = subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, capture_output=True, text=True).stdout
    assert set(said.split()) <= {"cloister", *sys.stdlib_module_names}


@pytest.mark.parametrize("path", IN_PROOF_FOLDER)
def test_path_in_the_proof_folder_is_found_for_every_system(path: str) -> None:
    assert names.in_proof_folder(path)


@pytest.mark.parametrize("path", BESIDE_PROOF_FOLDER)
def test_path_beside_the_proof_folder_is_the_runs(path: str) -> None:
    assert names.path_problem(path) is None
    assert not names.in_proof_folder(path)
