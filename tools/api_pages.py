"""``python -m tools.api_pages``: writes ``docs/api/*.md`` from the public names of the packages that users import.

A page has every name of a package's ``__all__``, in that order: signature, docstring, and for a class its fields and
public members. Everything is read from the source, so a page does not depend on the machine that writes it.
"""

import ast
import importlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from tools.stubs import ROOT

FOLDER = ROOT / "docs" / "api"
PACKAGES = {"attestation": "cloister.attestation", "client": "cloister.client"}
"""The packages by the name of their page."""

_ROLE = re.compile(r":\w+:`~?\.?([^`]+)`")
_MEMBER = re.compile(r"^([a-z_]+): (?=\S)")


@dataclass(frozen=True)
class PublicName:
    """A public name and the statement that defines it; ``note`` is the string below an assignment."""

    name: str
    module: str
    node: ast.stmt
    note: str


def page(package: str) -> str:
    """The Markdown page of ``package``."""
    module = importlib.import_module(package)
    parts = [
        f"# {package}",
        "Generated from the source by `python -m tools.api_pages`; do not edit.",
        _prose(ast.get_docstring(_tree(package)) or ""),
    ]
    for name in getattr(module, "__all__", ()):
        parts += _entry(_find(package, name))
    return "\n\n".join(part for part in parts if part) + "\n"


def _entry(public: PublicName) -> Iterator[str]:
    node = public.node
    yield f"## {public.name}"
    yield f"Defined in `{public.module}`."
    if isinstance(node, ast.FunctionDef):
        yield _code(_signature(node))
        yield _prose(ast.get_docstring(node) or "")
    elif isinstance(node, ast.ClassDef):
        bases = ", ".join(ast.unparse(base) for base in node.bases)
        lines = [f"class {node.name}({bases}):" if bases else f"class {node.name}:"]
        lines += [f"    {ast.unparse(one)}" for one in node.body if _is_field(one)]
        yield _code("\n".join(lines))
        yield _prose(ast.get_docstring(node) or "")
        for member in node.body:
            if isinstance(member, ast.FunctionDef) and _is_public(member):
                yield f"### {node.name}.{member.name}"
                yield _code(_signature(member))
                yield _prose(ast.get_docstring(member) or "")
    else:
        if not isinstance(node, ast.AnnAssign):
            yield _code(ast.unparse(node))
        yield _prose(public.note)


def _is_field(node: ast.stmt) -> bool:
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return not node.target.id.startswith("_")
    return isinstance(node, ast.Assign) and all(
        isinstance(one, ast.Name) and not one.id.startswith("_") for one in node.targets
    )


def _is_public(node: ast.FunctionDef) -> bool:
    return not node.name.startswith("_") or (node.name == "__init__" and ast.get_docstring(node) is not None)


def _signature(node: ast.FunctionDef) -> str:
    lines = [f"@{ast.unparse(one)}" for one in node.decorator_list]
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    line = f"def {node.name}({ast.unparse(node.args)}){returns}"
    if len(line) > 100:
        line = f"def {node.name}(\n{_arguments(node.args)}){returns}"
    return "\n".join([*lines, line])


def _arguments(arguments: ast.arguments) -> str:
    """One argument a line."""
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
    lines = [_argument(one, default) for one, default in zip(positional, defaults, strict=True)]
    if arguments.vararg:
        lines.append(f"*{ast.unparse(arguments.vararg)}")
    elif arguments.kwonlyargs:
        lines.append("*")
    lines += [_argument(one, default) for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    if arguments.kwarg:
        lines.append(f"**{ast.unparse(arguments.kwarg)}")
    return "".join(f"    {line},\n" for line in lines)


def _argument(argument: ast.arg, default: ast.expr | None) -> str:
    return ast.unparse(argument) + (f" = {ast.unparse(default)}" if default is not None else "")


def _code(text: str) -> str:
    return f"```python\n{text}\n```"


def _prose(docstring: str) -> str:
    """Markdown of a docstring; a line ``name: text`` begins a list entry."""
    text = _ROLE.sub(r"`\1`", docstring).replace("``", "`")
    return "\n".join(_MEMBER.sub(r"- `\1`: ", line) for line in text.splitlines())


@cache
def _tree(module: str) -> ast.Module:
    path = ROOT.joinpath(*module.split("."))
    return ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text(encoding="utf-8"))


def _find(package: str, name: str) -> PublicName:
    """Where ``name`` of ``package`` is defined, followed through imports. Raises LookupError."""
    value = getattr(importlib.import_module(package), name)
    modules = [getattr(value, "__module__", ""), *sorted(sys.modules)]
    for module in (one for one in modules if isinstance(one, str) and one.startswith("cloister.")):
        found = _definition(module, name)
        if found is not None:
            return found
    raise LookupError(f"{package}.{name} has no definition.")


def _definition(module: str, name: str) -> PublicName | None:
    body = _tree(module).body
    for node, after in zip(body, [*body[1:], None], strict=True):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names = [one.id for one in targets if isinstance(one, ast.Name)]
        if getattr(node, "name", None) == name or name in names:
            is_note = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            note = str(after.value.value) if is_note else ""
            return PublicName(name, module, node, note)
    return None


def main() -> None:
    """Replace the pages in the checkout."""
    FOLDER.mkdir(exist_ok=True)
    for name, package in PACKAGES.items():
        (FOLDER / f"{name}.md").write_text(page(package), encoding="utf-8")


if __name__ == "__main__":
    main()
