"""Compiles Python sources with the grammar of the interpreter that runs this file, and finds their imports.

It is imported, and run as a program by an interpreter of the guest's version: standard input is a JSON object of
sources in base64, standard output one of :class:`Parsed` as objects. So it imports the standard library only.
"""

import ast
import base64
import io
import json
import re
import sys
import tokenize
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, cast

_IMPORT_ERRORS = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}


@dataclass(frozen=True)
class SyntaxProblem:
    """What the grammar does not allow. ``line`` and ``column`` from 1, 0 if unknown; ``text`` is the line."""

    message: str
    line: int
    column: int
    text: str


@dataclass(frozen=True)
class Import:
    """``module`` is dotted; ``level`` counts the dots of a relative import. ``function`` is empty at module level."""

    module: str
    level: int
    line: int
    function: str


@dataclass(frozen=True)
class Parsed:
    """One source. ``version`` is the grammar's; ``unjudged`` says why there is neither a problem nor imports."""

    version: str
    problem: SyntaxProblem | None = None
    unjudged: str = ""
    imports: tuple[Import, ...] = ()
    does_nothing: bool = False
    changes_path: bool = False
    """Whether it mentions ``sys.path``, so that modules may lie anywhere."""
    ipython_line: int = 0
    """The first line that calls IPython, as exported notebooks do; 0 for none."""
    installing_line: int = 0
    """The first line that runs a program that installs packages, such as pip; 0 for none."""

    @classmethod
    def from_value(cls, value: dict[str, Any]) -> "Parsed":
        """From the JSON value of ``asdict``."""
        problem = value["problem"]
        imports = tuple(Import(**one) for one in value["imports"])
        rest = {name: one for name, one in value.items() if name not in ("problem", "imports")}
        return cls(problem=None if problem is None else SyntaxProblem(**problem), imports=imports, **rest)


def parse(source: bytes, *, is_main: bool) -> Parsed:
    """Compile a source that is text. ``is_main``: it is run as a program, not imported."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(source, "source", "exec", dont_inherit=True)
            tree = cast(ast.Module, compile(source, "source", "exec", ast.PyCF_ONLY_AST, dont_inherit=True))
    except SyntaxError as error:
        line = error.lineno or 0
        text = (error.text or _line(source, line)).splitlines()
        return Parsed(
            version, problem=SyntaxProblem(error.msg, line, max(error.offset or 0, 0), text[0] if text else "")
        )
    except (RecursionError, MemoryError, ValueError, OverflowError, SystemError) as error:
        return Parsed(version, unjudged=f"{type(error).__name__}: {error}")
    found_imports = _Imports(is_main)
    found_imports.walk(tree.body, "")
    nodes = list(ast.walk(tree))
    return Parsed(
        version,
        imports=tuple(found_imports.found),
        does_nothing=all(map(_does_nothing, tree.body)),
        changes_path=any(map(_is_search_path, nodes)),
        ipython_line=next((node.lineno for node in tree.body if _calls_ipython(node)), 0),
        installing_line=_installing_line(nodes),
    )


def _line(source: bytes, number: int) -> str:
    """A line of a source; empty if it has no such line. The compiler's later steps do not quote it."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
        lines = io.TextIOWrapper(io.BytesIO(source), encoding).read().split("\n")
    except (SyntaxError, UnicodeDecodeError, LookupError):
        return ""
    return lines[number - 1] if 0 < number <= len(lines) else ""


@dataclass
class _Imports:
    """Collects imports that happen for certain when the module runs, or when one of its functions is called."""

    is_main: bool
    found: list[Import] = field(default_factory=list)

    def walk(self, body: Iterable[ast.stmt], function: str) -> None:
        for node in body:
            if isinstance(node, ast.Import):
                self.found += (Import(alias.name, 0, node.lineno, function) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                self.found.append(Import(node.module or "", node.level, node.lineno, function))
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                self.walk(node.body, node.name)
            elif isinstance(node, ast.ClassDef):
                self.walk(node.body, function)
            elif isinstance(node, (ast.With, ast.AsyncWith)):
                if not any(_suppresses(item.context_expr) for item in node.items):
                    self.walk(node.body, function)
            elif isinstance(node, ast.If):
                if self.is_main and _is_main_test(node.test):
                    self.walk(node.body, function)
            elif isinstance(node, ast.Try) or type(node).__name__ == "TryStar":
                self._walk_try(cast(ast.Try, node), function)

    def _walk_try(self, node: ast.Try, function: str) -> None:
        if not any(_catches_import(handler) for handler in node.handlers):
            self.walk(node.body, function)
            self.walk(node.orelse, function)
        self.walk(node.finalbody, function)


def _names(node: ast.AST | None) -> Iterator[str]:
    for inner in ast.walk(node) if node is not None else ():
        if isinstance(inner, ast.Name):
            yield inner.id
        elif isinstance(inner, ast.Attribute):
            yield inner.attr


def _catches_import(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or not _IMPORT_ERRORS.isdisjoint(_names(handler.type))


def _suppresses(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and not {"suppress", "raises"}.isdisjoint(_names(node.func))


def _is_main_test(node: ast.expr) -> bool:
    if not (isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], ast.Eq)):
        return False
    sides = (node.left, node.comparators[0])
    return any(isinstance(side, ast.Name) and side.id == "__name__" for side in sides) and any(
        isinstance(side, ast.Constant) and side.value == "__main__" for side in sides
    )


def _does_nothing(node: ast.stmt) -> bool:
    literal = (ast.Constant, ast.Dict, ast.List, ast.Tuple, ast.Set, ast.expr_context, ast.Expr, ast.Pass)
    return isinstance(node, (ast.Expr, ast.Pass)) and all(isinstance(inner, literal) for inner in ast.walk(node))


def _is_search_path(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.module == "sys" and any(alias.name in ("path", "*") for alias in node.names)
    return (
        isinstance(node, ast.Attribute)
        and node.attr in ("path", "addsitedir")
        and {"sys", "site"} >= set(_names(node.value))
    )


def _calls_ipython(node: ast.stmt) -> bool:
    return isinstance(node, (ast.Expr, ast.Assign)) and "get_ipython" in _names(node)


_RUNNING = re.compile(
    r"system|popen|Popen|run|call|check_call|check_output|getoutput|getstatusoutput|(exec|spawn|posix_spawn)[lvpe]*"
    r"|create_subprocess_(shell|exec)|main|_main|run_line_magic|run_cell_magic|run_module"
)
"""Functions that run a program, by the last part of their names: of os, subprocess, asyncio, pip and IPython."""

_INSTALLING = re.compile(
    r"(?:^|[\s/!%;&|])(?:pip[0-9.]*|easy_install|conda|mamba|micromamba|uv|poetry|pdm|apt|apt-get|yum|dnf|apk)\s(?:.*\s)?"
    r"(?:install|add|sync)(?:\s|$)"
)
_LONGEST_WORD = 500


def _installing_line(nodes: Iterable[ast.AST]) -> int:
    """The first line with a call that runs a program with words like ``pip install``; 0 for none."""
    calls: list[ast.Call] = []
    texts: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Call):
            calls.append(node)
        elif isinstance(node, ast.Assign):
            texts |= {name.id: _words([node.value], {}) for name in node.targets if isinstance(name, ast.Name)}
    return min((call.lineno for call in calls if _installs(call, texts)), default=0)


def _installs(call: ast.Call, texts: Mapping[str, str]) -> bool:
    called: list[str] = []
    function = call.func
    while isinstance(function, ast.Attribute):
        called.append(function.attr)
        function = function.value
    called += [function.id] if isinstance(function, ast.Name) else []
    if not called or not _RUNNING.fullmatch(called[0]):
        return False
    arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
    # The names of the call count, too: pip.main(["install", ...])
    return _INSTALLING.search(f"{' '.join(reversed(called))} {_words(arguments, texts)}") is not None


def _words(expressions: Iterable[ast.expr], texts: Mapping[str, str]) -> str:
    """The constant words in expressions, in the order of the source; those of names as ``texts`` has them."""
    found: list[tuple[int, int, str]] = []
    for node in (inner for one in expressions for inner in ast.walk(one)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append((node.lineno, node.col_offset, node.value[:_LONGEST_WORD]))
        elif isinstance(node, ast.Name) and node.id in texts:
            found.append((node.lineno, node.col_offset, texts[node.id]))
    return " ".join(word for _, _, word in sorted(found))[: 8 * _LONGEST_WORD]


def parse_all(sources: Mapping[str, bytes], main: str) -> dict[str, Parsed]:
    """Parse each of some sources; ``main`` names the one that is run as a program."""
    return {name: parse(source, is_main=name == main) for name, source in sources.items()}


if __name__ == "__main__":
    given = json.load(sys.stdin)
    decoded = {name: base64.b64decode(text) for name, text in given["sources"].items()}
    json.dump({name: asdict(one) for name, one in parse_all(decoded, given["main"]).items()}, sys.stdout)
