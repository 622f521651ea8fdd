"""Syntax trees of the product's modules, and what their expressions say."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

_DULL = {"message", "strerror", "reason", "args", "place"}
"""Attributes that say less than the name before them."""
_CLEARER = {
    "_why_unjudged": "reason",
    "asked": "seconds",
    "away": "path",
    "below": "parent recipe",
    "both": "path",
    "colno": "column",
    "counted": "packages",
    "err": "details",
    "head": "digest",
    "imageDigest": "digest",
    "info": "folder of its metadata",
    "into": "path",
    "keyid": "key id",
    "KeyType": "key types",
    "kind_of": "kind of key",
    "left": "keys",
    "lineno": "line",
    "listed": "names",
    "longest": "number",
    "main": "name",
    "msg": "reason",
    "only": "subject",
    "productline": "product lines",
    "raw": "name",
    "rest": "details",
    "returncode": "status",
    "said": "details",
    "seen": "name",
    "several": "names",
    "strerror": "reason",
    "taken": "path",
    "tee": "kind of CVM",
    "to": "cloud",
    "tried": "places",
    "twice": "value",
    "until": "date",
    "up": "stacks",
    "what": "input",
    "where": "place",
    "wide": "encoding",
    "word": "value",
    "wrong": "names",
}
"""Names in the source for which a reader of the page needs another word."""

_CONVERSIONS = {
    "as_posix",
    "decode",
    "get",
    "hex",
    "isoformat",
    "lower",
    "lstrip",
    "partition",
    "relative_to",
    "removeprefix",
    "removesuffix",
    "replace",
    "rstrip",
    "split",
    "strip",
    "upper",
}
"""Methods whose result is named like what they are called on."""

_FORMS = {"printable", "quote", "shown", "without_credentials"}
"""Functions of modules whose result is named like their argument."""


@dataclass(frozen=True)
class SourceModule:
    """A module's syntax tree with the names that it defines."""

    name: str
    tree: ast.Module

    @classmethod
    def read(cls, path: Path, root: Path) -> Self:
        """The module at ``path``, which lies below ``root``."""
        name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        return cls(name, ast.parse(path.read_text(encoding="utf-8")))

    @cached_property
    def imports(self) -> dict[str, str]:
        """The dotted name behind every imported name, wherever in the module the import is."""
        found = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Import):
                found |= {
                    alias.asname or alias.name: alias.name
                    for alias in node.names
                    if alias.asname or "." not in alias.name
                }
        return found

    def qualified(self, node: ast.expr | None) -> str:
        """The dotted name that a name or attribute stands for; empty for any other expression."""
        if isinstance(node, ast.Name):
            return self.imports.get(node.id, f"{self.name}.{node.id}")
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            return f"{self.imports.get(node.value.id, f'{self.name}.{node.value.id}')}.{node.attr}"
        return ""


def functions(module: SourceModule) -> Iterator[tuple[ast.FunctionDef, str]]:
    """The functions of a module and the methods of its classes, each with its class, empty for a function."""
    for node in module.tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node, ""
        elif isinstance(node, ast.ClassDef):
            yield from ((one, f"{module.name}.{node.name}") for one in node.body if isinstance(one, ast.FunctionDef))


def calls(node: ast.AST) -> list[ast.Call]:
    return [one for one in ast.walk(node) if isinstance(one, ast.Call)]


def assigned(statement: ast.AST, *, attributes: bool = False) -> tuple[str, ast.expr] | None:
    """The one name (or attribute of ``self``) that a statement gives a value, and the value."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target, value = statement.targets[0], statement.value
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        target, value = statement.target, statement.value
    else:
        return None
    if isinstance(target, ast.Name) or (attributes and isinstance(target, ast.Attribute)):
        return ast.unparse(target), value
    return None


def integer(node: ast.expr) -> int | None:
    """The value of a whole number, or of a product or power of some."""
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.BinOp(left=left, op=op, right=right):
            one, other = integer(left), integer(right)
            if one is None or other is None:
                return None
            if isinstance(op, ast.Mult):
                return one * other
            if isinstance(op, ast.Pow):
                return one**other
            return one + other if isinstance(op, ast.Add) else None
    return None


def parameters(function: ast.FunctionDef) -> set[str]:
    arguments = function.args
    return {one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)} - {"self"}


def uses(call: ast.Call, names: set[str]) -> bool:
    passed = [*call.args, *(keyword.value for keyword in call.keywords)]
    return any(isinstance(node, ast.Name) and node.id in names for one in passed for node in ast.walk(one))


def is_text(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=value):
            return isinstance(value, str)
        case ast.JoinedStr():
            return True
        case ast.List(elts=[first, *_]):
            return is_text(first)
        case ast.IfExp(body=body, orelse=orelse):
            return is_text(body) and is_text(orelse)
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return is_text(left) or is_text(right)
    return False


def bare(node: ast.expr) -> ast.expr:
    return node.value if isinstance(node, ast.Starred) else node


def readable(node: ast.expr) -> str:
    """A short name for a value that is known at run time only."""
    match node:
        case ast.Name(id=name):
            return _words(name)
        case ast.Attribute(value=value, attr=name):
            return readable(value) if name in _DULL else _words(name)
        case ast.Subscript(value=value, slice=ast.Constant(value=str(name))):
            return _words(name) or readable(value)
        case ast.Subscript(value=value) | ast.Starred(value=value) | ast.FormattedValue(value=value):
            return readable(value)
        case ast.Call(func=ast.Name(id="len")):
            return "number"
        case ast.Call(func=ast.Name(id=name)) if name in _CLEARER:
            return _words(name)
        case ast.Call(func=ast.Attribute(attr="strerror")):
            return "error"
        case ast.Call(func=ast.Attribute(attr=name), args=[first, *_]) if name == "join" or name in _FORMS:
            return readable(first)
        case ast.Call(func=ast.Name(), args=[first, *_]):
            return readable(first)
        case ast.Call(func=ast.Attribute(value=value, attr=method)) if method in _CONVERSIONS:
            return readable(value)
        case ast.Call(func=function):
            return readable(function)
        case ast.GeneratorExp(generators=[first, *_]) | ast.ListComp(generators=[first, *_]):
            return readable(first.iter)
        case ast.BinOp(left=ast.Constant(), right=other) | ast.BinOp(left=other):
            return readable(other)
        case ast.IfExp(body=body):
            return readable(body)
        case ast.BoolOp(values=[first, *_]):
            return readable(first)
    return "value"


def _words(name: str) -> str:
    return _CLEARER.get(name) or _CLEARER.get(name.strip("_").lower(), name.strip("_").replace("_", " ").lower())


def says_something(message: str) -> bool:
    """Whether a message has words of its own beside its placeholders."""
    return re.search(r"[A-Za-z]", re.sub(r"<[^<>]*>", "", message)) is not None


def tidy(text: str) -> str:
    """``text`` on one line, without a placeholder twice in a row."""
    return re.sub(r"(<[^<>]*>)\1+", r"\1", re.sub(r"\s+", " ", text)).strip()
