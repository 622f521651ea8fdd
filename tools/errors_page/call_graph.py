"""Finds the errors that a verb can end with: those of the code that its function refers to, directly or not."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from tools.errors_page.syntax import SourceModule, assigned

BY_METHOD = "cloister.cli.shell.settings.Settings"
"""The one class that counts method by method: every verb has one, and uses a few of them."""


@dataclass(frozen=True)
class CallGraph:
    """Refers from each function, class and constant at the top of a module to those that its source names.

    A class stands for all of its methods, so that more is found than one run of the verb can reach, not less; only
    ``BY_METHOD`` is followed by what is called on it. What a verb starts as another program is not followed.
    """

    modules: Mapping[str, SourceModule]

    @cached_property
    def _named(self) -> dict[str, set[str]]:
        return {
            f"{module.name}.{name}": set(_names(module, node))
            for module in self.modules.values()
            for name, node in _definitions(module)
        }

    @cached_property
    def _edges(self) -> dict[str, set[str]]:
        """Of what each function, class or constant names, those that are defined in one of the modules."""
        homes = {name: self._defined(name) for name in set().union(*self._named.values())}
        return {name: {homes[one] for one in named} & self._named.keys() for name, named in self._named.items()}

    def from_(self, start: str) -> set[str]:
        """The dotted names of all that ``start`` leads to, itself included."""
        found: set[str] = set()
        waiting = {self._defined(start)} & self._edges.keys()
        while waiting:
            name = waiting.pop()
            found.add(name)
            waiting |= self._edges[name] - found
        return found

    def _defined(self, name: str) -> str:
        """Where a name is defined that a package passes on, as ``cloister.client`` does; else the name itself."""
        package, _, attribute = name.rpartition(".")
        module = self.modules.get(package)
        passed_on = module.imports.get(attribute) if module is not None and name not in self._named else None
        return self._defined(passed_on) if passed_on is not None and passed_on != name else name

    def home(self, module: str, line: int) -> str:
        """The dotted name of the function, class or constant that has the line."""
        for name, node in _definitions(self.modules[module]):
            if node.lineno <= line <= (node.end_lineno or node.lineno):
                return f"{module}.{name}"
        return module


def _definitions(module: SourceModule) -> Iterator[tuple[str, ast.stmt]]:
    for node in module.tree.body:
        if isinstance(node, ast.ClassDef) and f"{module.name}.{node.name}" == BY_METHOD:
            for method in (one for one in node.body if isinstance(one, ast.FunctionDef)):
                yield f"{node.name}.{method.name}", method
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name, node
        elif (target := assigned(node)) is not None:
            yield target[0], node


def _names(module: SourceModule, node: ast.AST) -> Iterator[str]:
    holders = {
        one.arg
        for one in ast.walk(node)
        if isinstance(one, ast.arg) and one.annotation is not None and module.qualified(one.annotation) == BY_METHOD
    }
    if module.name == BY_METHOD.rpartition(".")[0]:
        holders.add("self")
    for one in ast.walk(node):
        if isinstance(one, (ast.Name, ast.Attribute)):
            name = module.qualified(one)
            if isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name) and one.value.id in holders:
                name = f"{BY_METHOD}.{one.attr}"
            yield name
            yield name.rpartition(".")[0]  # Class.method, Enum.MEMBER
