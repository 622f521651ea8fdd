"""The texts that an expression may be, with placeholders for what is known at run time only."""

import ast
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tools.errors_page.syntax import SourceModule, assigned, bare, integer, is_text, readable

Environment = Mapping[str, tuple[str, ...]]
"""The texts that a name may stand for."""

_MOST_VARIANTS = 4
"""Texts of one expression that are kept apart; more of them become one placeholder."""


@dataclass(frozen=True)
class Texts:
    """Reads expressions; ``modules`` has the constants that they name."""

    modules: Mapping[str, SourceModule]

    def locals(self, module: SourceModule, function: ast.FunctionDef) -> dict[str, tuple[str, ...]]:
        """What the names of a function stand for that it assigns texts to, and nothing but texts."""
        values_of: dict[str, list[ast.expr]] = {}
        for node in ast.walk(function):
            target = assigned(node, attributes=True)
            if target is not None:
                values_of.setdefault(target[0], []).append(target[1])
        known: dict[str, tuple[str, ...]] = {}
        for name, values in values_of.items():
            if all(is_text(value) for value in values):
                texts = tuple(dict.fromkeys(text for value in values for text in self.of(module, value, known)))
                if len(texts) <= _MOST_VARIANTS:
                    known[name] = texts
        return known

    def of(self, module: SourceModule, node: ast.expr, environment: Environment) -> tuple[str, ...]:
        """The texts that an expression may be, with placeholders for what is not known: at least one."""
        found = tuple(dict.fromkeys(self._texts(module, node, environment)))
        return found if len(found) <= _MOST_VARIANTS else (f"<{readable(node)}>",)

    def _texts(self, module: SourceModule, node: ast.expr, environment: Environment) -> Iterator[str]:
        match node:
            case ast.Constant(value=str(value)):
                yield value
            case ast.Constant() | ast.BinOp() if (value := integer(node)) is not None:
                yield f"{value:,}" if value >= 10_000 else str(value)
            case ast.JoinedStr(values=parts):
                # What a condition may leave out is shown: "<member>: " is clearer than two messages.
                pieces = [_without_empty(self.of(module, part, environment)) for part in parts]
                yield from ("".join(chosen) for chosen in itertools.product(*pieces))
            case ast.FormattedValue(value=value):
                yield from self.of(module, value, environment)
            case ast.BinOp(op=ast.Add(), left=left, right=right) if is_text(left) or is_text(right):
                pieces = (self.of(module, left, environment), self.of(module, right, environment))
                yield from ("".join(chosen) for chosen in itertools.product(*pieces))
            case ast.IfExp(body=body, orelse=orelse):
                yield from self.of(module, body, environment)
                yield from self.of(module, orelse, environment)
            case ast.BoolOp(op=ast.Or(), values=values) if any(is_text(value) for value in values):
                for value in values:
                    yield from self.of(module, value, environment)
            case ast.Call(
                func=ast.Attribute(value=ast.Constant(value=str(glue)), attr="join"), args=[ast.List(elts=elements)]
            ):
                pieces = [self.of(module, bare(element), environment) for element in elements]
                yield from (glue.join(chosen) for chosen in itertools.product(*pieces))
            case ast.Call(func=ast.Attribute(value=value, attr="rstrip" | "strip" | "removesuffix" | "lstrip")):
                yield from self.of(module, value, environment)
            case ast.Call(func=ast.Attribute(attr="printable"), args=[value, *_]):
                yield from self.of(module, value, environment)
            case ast.Call(func=ast.Attribute(attr="join"), args=[ast.Name(id=name)]) if name in environment:
                yield from environment[name]
            case ast.List(elts=elements) if is_text(node):
                pieces = [self.of(module, bare(element), environment) for element in elements]
                yield from (" ".join(chosen) for chosen in itertools.product(*pieces))
            case ast.Name() | ast.Attribute() if (name := ast.unparse(node)) in environment:
                yield from environment[name]
            case ast.Name() | ast.Attribute():
                yield self._text_of_name(module, node)
            case _:
                yield f"<{readable(node)}>"

    def _text_of_name(self, module: SourceModule, node: ast.Name | ast.Attribute) -> str:
        """The text of a constant of a module, or a placeholder."""
        place, _, name = module.qualified(node).rpartition(".")
        defining = self.modules.get(place)
        if defining is not None and name.isupper():
            for statement in defining.tree.body:
                target = assigned(statement)
                if target is not None and target[0] == name and (is_text(target[1]) or integer(target[1]) is not None):
                    return next(self._texts(defining, target[1], {}))
        return f"<{readable(node)}>"


def _without_empty(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(text for text in texts if text) or ("",)
