"""Finds the errors of the product in its source: every call that makes a CloisterError.

Nothing is imported: the syntax trees say which classes are errors, which functions return one, and what each call
passes to them. What is known only at run time becomes a placeholder such as ``<path>``.
"""

import ast
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Self

from tools.errors_page.syntax import SourceModule, assigned, calls, functions, parameters, says_something, tidy, uses
from tools.errors_page.texts import Environment, Texts

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("agent_runtime", "benchmarks", "cloister", "examples", "image", "infra", "tools")
BASE = "cloister.errors.CloisterError"
_COLLECTORS = ("infra.configuration.validation.Problems.add",)
"""Methods that note a problem, which one error then lists together with others."""
_MAX_DEPTH = 8


@dataclass(frozen=True)
class ErrorSite:
    """One message of one call that makes an error."""

    module: str
    """Dotted name of the module."""
    line: int
    """Line of the call."""
    error: str
    """Dotted name of the class."""
    message: str
    """The message, with placeholders."""
    hint: str
    """The hint, with placeholders; empty when the call passes none."""
    exit_code: int
    """The exit code that the call passes, else that of the class."""
    reason: str = ""
    """An agent's reason (``NOT_READY``); empty for every other error."""


@dataclass(frozen=True)
class _Function:
    """A function or method that makes an error from its parameters."""

    module: SourceModule
    node: ast.FunctionDef
    owner: str
    """Dotted name of its class; empty for a function."""

    def bind(self, call: ast.Call) -> dict[str, ast.expr]:
        """The parameters that ``call`` fills, with the expressions that it passes."""
        arguments = self.node.args
        names = [one.arg for one in (*arguments.posonlyargs, *arguments.args)]
        names = names[1:] if self.owner else names
        bound = dict(zip(names, call.args, strict=False))
        return bound | {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}

    def defaults(self) -> dict[str, ast.expr]:
        """The parameters with a default."""
        arguments = self.node.args
        positional = [*arguments.posonlyargs, *arguments.args]
        found = dict(zip([one.arg for one in reversed(positional)], reversed(arguments.defaults), strict=False))
        keywords = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        return found | {one.arg: value for one, value in keywords if value is not None}


@dataclass
class ErrorSources:
    """All modules of the product, and the errors in them."""

    modules: dict[str, SourceModule]
    classes: dict[str, tuple[SourceModule, ast.ClassDef]] = field(default_factory=dict)
    factories: dict[str, _Function] = field(default_factory=dict)
    """Functions and methods whose return type is an error, by dotted name."""

    @cached_property
    def reader(self) -> Texts:
        return Texts(self.modules)

    @classmethod
    def read(cls, root: Path = ROOT) -> Self:
        """The modules of all packages below ``root``, without generated ones."""
        paths = sorted(path for package in PACKAGES for path in (root / package).rglob("*.py"))
        modules = [
            SourceModule.read(path, root) for path in paths if "v1" not in path.parts and "testkit" not in path.parts
        ]
        found = cls({module.name: module for module in modules})
        for module in modules:
            for node in ast.walk(module.tree):
                if isinstance(node, ast.ClassDef):
                    found.classes[f"{module.name}.{node.name}"] = (module, node)
        for module in modules:
            found._add_factories(module)
        return found

    def _add_factories(self, module: SourceModule) -> None:
        for node, owner in functions(module):
            place = f"{owner}.{node.name}" if owner else f"{module.name}.{node.name}"
            returned = module.qualified(node.returns)
            if (self.is_error(returned) and returned != BASE) or place in _COLLECTORS:
                self.factories[place] = _Function(module, node, owner)

    def is_error(self, name: str) -> bool:
        """Whether the dotted name is that of an error class."""
        return BASE in self.ancestry(name)

    def ancestry(self, name: str) -> list[str]:
        """The class and what it inherits from, nearest first; empty for a name that is not a class of the product."""
        if name not in self.classes:
            return []
        module, node = self.classes[name]
        return [name, *(one for base in node.bases for one in self.ancestry(module.qualified(base)))]

    def attribute(self, error: str, name: str) -> str | int:
        """The class attribute ``name`` of an error class, its own or inherited."""
        for module, node in (self.classes[one] for one in self.ancestry(error)):
            for statement in node.body:
                target = assigned(statement)
                if target is not None and target[0] == name:
                    value = self._constant(module, target[1])
                    if value is not None:
                        return value
        raise ValueError(f"{error} has no attribute {name}.")

    def _constant(self, module: SourceModule, node: ast.expr) -> str | int | None:
        if isinstance(node, ast.Constant) and isinstance(node.value, (str, int)):
            return node.value
        if isinstance(node, ast.Attribute) and node.attr == "exit_code" and self.is_error(module.qualified(node.value)):
            return self.attribute(module.qualified(node.value), "exit_code")
        texts = self.reader.of(module, node, {})
        return texts[0] if texts else None

    @cached_property
    def sites(self) -> list[ErrorSite]:
        """Every error that the product makes, in the order of the source."""
        found = []
        for module in self.modules.values():
            for node, owner in [*functions(module)]:
                environment = self.reader.locals(module, node)
                for call in calls(node):
                    found += self._site(module, call, node, owner, environment)
        return sorted(set(found), key=lambda site: (site.module, site.line, site.message))

    def _site(
        self, module: SourceModule, call: ast.Call, function: ast.FunctionDef, owner: str, environment: Environment
    ) -> Iterator[ErrorSite]:
        place = f"{owner}.{function.name}" if owner else f"{module.name}.{function.name}"
        if place in self.factories and self.factories[place].node is function and uses(call, parameters(function)):
            return  # its callers are listed, with what they pass
        yield from self._made(module, call, environment, owner, (module.name, call.lineno))

    def _made(
        self,
        module: SourceModule,
        call: ast.Call,
        environment: Environment,
        owner: str,
        at: tuple[str, int],
        depth: int = 0,
    ) -> Iterator[ErrorSite]:
        """The errors that ``call`` makes: it calls an error's class, or a function that returns one."""
        name = module.qualified(call.func)
        if self.is_error(name):
            yield from self._constructed(module, call, name, environment, at)
            return
        factory = self._factory(module, call, owner)
        if factory is None or depth > _MAX_DEPTH:
            return
        passed = {key: self.reader.of(module, value, environment) for key, value in factory.bind(call).items()}
        inner = {key: self.reader.of(factory.module, value, {}) for key, value in factory.defaults().items()}
        known = self.reader.locals(factory.module, factory.node) | inner | passed
        if f"{factory.owner}.{factory.node.name}" in _COLLECTORS:
            problems = itertools.product(known["path"], known["sentence"])
            error = next(one for one in self.classes if one.endswith(".ConfigurationError"))
            for path, sentence in problems:
                if says_something(sentence):
                    yield self._finished(error, f"{path}: {sentence}", "", at)
            return
        for inner_call in calls(factory.node):
            yield from self._made(factory.module, inner_call, known, factory.owner, at, depth + 1)

    def _factory(self, module: SourceModule, call: ast.Call, owner: str) -> _Function | None:
        if (found := self.factories.get(module.qualified(call.func))) is not None:
            return found
        if not isinstance(call.func, ast.Attribute):
            return None
        method = call.func.attr
        if isinstance(call.func.value, ast.Name) and call.func.value.id == "self":
            for one in self.ancestry(owner):
                if f"{one}.{method}" in self.factories:
                    return self.factories[f"{one}.{method}"]
        known = [one for name, one in self.factories.items() if one.owner and name.endswith(f".{method}")]
        fitting = [one for one in known if required(one) <= one.bind(call).keys()]
        if len({ast.unparse(one.node.returns) for one in fitting if one.node.returns}) > 1:
            owners = ", ".join(sorted(one.owner for one in fitting))
            # The first one's remedy would stand beside the other one's messages.
            raise ValueError(f"{module.name} calls {method}, and several methods make different errors: {owners}.")
        return fitting[0] if fitting else None

    def _constructed(
        self, module: SourceModule, call: ast.Call, error: str, environment: Environment, at: tuple[str, int]
    ) -> Iterator[ErrorSite]:
        passed = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
        made = self._constructor(error)
        arguments = made.bind(call)
        code = self._exit_code(module, passed.get("exit_code"))
        reasons = self._reasons(module, arguments.get("reason"))
        if made.owner == BASE or "super" not in ast.dump(made.node):
            messages = (
                self.reader.of(module, arguments["message"], environment) if "message" in arguments else ("<message>",)
            )
            hints = self._hints(module, arguments.get("hint"), environment)
        else:
            texts = {name: self.reader.of(module, value, environment) for name, value in arguments.items()}
            inner = {name: self.reader.of(made.module, value, {}) for name, value in made.defaults().items()}
            known = self.reader.locals(made.module, made.node) | inner | texts
            parent = next(one for one in calls(made.node) if ast.unparse(one.func) == "super().__init__")
            messages = self.reader.of(made.module, parent.args[0], known)
            given = next((keyword.value for keyword in parent.keywords if keyword.arg == "hint"), None)
            hints = self._hints(made.module, given, known)
        # A condition that chooses both message and hint chooses them together.
        pairs = zip(messages, hints, strict=True) if len(messages) == len(hints) else itertools.product(messages, hints)
        for message, hint in pairs:
            yield self._finished(error, message, hint, at, code, reasons)

    def _hints(self, module: SourceModule, node: ast.expr | None, environment: Environment) -> tuple[str, ...]:
        """The hints of a call. Of ``hint or DEFAULT``, the default: the class's remedy never takes its place."""
        if node is None:
            return ("",)
        if isinstance(node, ast.BoolOp):
            return self._hints(module, node.values[-1], environment)
        return self.reader.of(module, node, environment)

    def _finished(
        self, error: str, message: str, hint: str, at: tuple[str, int], code: int | None = None, reason: str = ""
    ) -> ErrorSite:
        number = int(self.attribute(error, "exit_code")) if code is None else code
        return ErrorSite(*at, error, tidy(message), tidy(hint), number, reason)

    def _constructor(self, error: str) -> _Function:
        for one in self.ancestry(error):
            module, node = self.classes[one]
            for statement in node.body:
                if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
                    return _Function(module, statement, one)
        raise ValueError(f"{error} has no constructor.")

    def _exit_code(self, module: SourceModule, node: ast.expr | None) -> int | None:
        value = None if node is None else self._constant(module, node)
        return value if isinstance(value, int) else None

    def _reasons(self, module: SourceModule, node: ast.expr | None) -> str:
        if isinstance(node, ast.Attribute) and module.qualified(node.value).endswith(".Reason"):
            return node.attr
        return ""


def required(function: _Function) -> set[str]:
    return parameters(function.node) - function.defaults().keys()
