"""Finds the errors that a verb can end with: those of the code that its function refers to, directly or not."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from tools.errors_page.syntax import SourceModule, assigned

BY_METHOD = (
    "cloister.cli.shell.settings.Settings",
    "cloister.client.party.party.Party",
    "cloister.client.party.machine.Machine",
)
"""The classes that count method by method: every verb has the first, which leads to the others, and uses a few of them.

A value is known to be of such a class by the annotation of an argument or of a method that returns it.
"""


@dataclass(frozen=True)
class CallGraph:
    """Refers from each function, class and constant at the top of a module to those that its source names.

    A class stands for all of its methods, so that more is found than one run of the verb can reach, not less; only
    those of ``BY_METHOD`` are followed by what is called on them. What a verb starts as another program is not
    followed.
    """

    modules: Mapping[str, SourceModule]

    @cached_property
    def _named(self) -> dict[str, set[str]]:
        return {
            f"{module.name}.{name}": set(self._names(module, node))
            for module in self.modules.values()
            for name, node in _definitions(module)
        }

    @cached_property
    def _edges(self) -> dict[str, set[str]]:
        """Of what each function, class or constant names, those that are defined in one of the modules."""
        homes = {name: self._defined(name) for name in set().union(*self._named.values())}
        return {name: {homes[one] for one in named} & self._named.keys() for name, named in self._named.items()}

    @cached_property
    def _returned(self) -> dict[str, str]:
        """Method or property of a class of ``BY_METHOD`` -> the one of them that it returns."""
        found = {}
        for module in self.modules.values():
            for name, node in _definitions(module):
                kind = _annotated(module, node.returns) if isinstance(node, ast.FunctionDef) else None
                if "." in name and kind is not None:
                    found[f"{module.name}.{name}"] = kind
        return found

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

    def _names(self, module: SourceModule, node: ast.AST) -> Iterator[str]:
        holders = self._holders(module, node)
        for one in ast.walk(node):
            if isinstance(one, (ast.Name, ast.Attribute)):
                name = module.qualified(one)
                if isinstance(one, ast.Attribute) and (kind := self._class_of(one.value, holders)) is not None:
                    name = f"{kind}.{one.attr}"
                yield name
                yield name.rpartition(".")[0]  # Class.method, Enum.MEMBER

    def _holders(self, module: SourceModule, node: ast.AST) -> dict[str, str]:
        """Variable -> its class, of those of ``BY_METHOD``."""
        own = [kind for kind in BY_METHOD if module.name == kind.rpartition(".")[0]]
        found = {"self": own[0]} if own else {}
        for one in ast.walk(node):
            if isinstance(one, ast.arg) and (kind := _annotated(module, one.annotation)) is not None:
                found[one.arg] = kind
        for one in ast.walk(node):
            targets: list[tuple[ast.expr | None, ast.expr]] = []
            if isinstance(one, ast.Assign):
                targets = [(target, one.value) for target in one.targets]
            elif isinstance(one, ast.With):
                targets = [(item.optional_vars, item.context_expr) for item in one.items]
            for target, value in targets:
                if isinstance(target, ast.Name) and (kind := self._class_of(value, found)) is not None:
                    found[target.id] = kind
        return found

    def _class_of(self, value: ast.expr, holders: Mapping[str, str]) -> str | None:
        if isinstance(value, ast.Name):
            return holders.get(value.id)
        called = value.func if isinstance(value, ast.Call) else value
        if isinstance(called, ast.Attribute) and (kind := self._class_of(called.value, holders)) is not None:
            return self._returned.get(f"{kind}.{called.attr}")
        return None


def _annotated(module: SourceModule, annotation: ast.expr | None) -> str | None:
    """The class of ``BY_METHOD`` that an annotation names, also in quotes; None for another."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        annotation = ast.parse(annotation.value, mode="eval").body
    if not isinstance(annotation, (ast.Name, ast.Attribute)):
        return None
    name = module.qualified(annotation)
    return name if name in BY_METHOD else None


def _definitions(module: SourceModule) -> Iterator[tuple[str, ast.stmt]]:
    for node in module.tree.body:
        if isinstance(node, ast.ClassDef) and f"{module.name}.{node.name}" in BY_METHOD:
            for method in (one for one in node.body if isinstance(one, ast.FunctionDef)):
                yield f"{node.name}.{method.name}", method
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name, node
        elif (target := assigned(node)) is not None:
            yield target[0], node
