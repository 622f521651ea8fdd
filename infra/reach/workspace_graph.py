"""A workspace as a graph: the resources that its configuration declares, what each is made from, and who reaches what.

As data, and as a Mermaid flowchart: text that code hosts and wikis draw, and whose changes a review can read.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infra.reach.graph import Edge, ReachGraph, format_networks
from infra.resources.resource import Resource
from infra.resources.urn import Key

_HEAD = """\
%% Solid arrows: who can open a connection to what. Dotted arrows: what uses what.
flowchart LR"""
_STYLE = "classDef cvm stroke-width:3px"
_HIDDEN = ("pulumi:", "cloister:")
"""Types without a thing in the cloud: stacks, references, providers, components."""


@dataclass(frozen=True)
class WorkspaceGraph:
    """``resources`` are all that the workspace declares; ``details`` say of a CVM what a reader asks first."""

    workspace: str
    backend: str
    resources: tuple[Resource, ...]
    reach: ReachGraph
    details: Mapping[str, str]

    def value(self) -> dict[str, Any]:
        """The JSON value."""
        shown = self._shown()
        return {
            "workspace": self.workspace,
            "backend": self.backend,
            "resources": [
                {"type": one.type, "name": one.name, "uses": [list(key) for key in self._uses(one, shown)]}
                for one in shown
            ],
            **self.reach.value(),
        }

    def mermaid(self) -> Iterator[str]:
        """The lines of the flowchart."""
        shown = self._shown()
        nodes = {one.key: f"r{number}" for number, one in enumerate(shown)}
        cvms = {one.name: nodes[one.key] for one in shown if self._is_cvm(one)}
        yield _HEAD
        yield f'  subgraph workspace["workspace {_escaped(self.workspace)}, {self.backend}"]'
        for one in shown:
            detail = self.details.get(one.name, "") if self._is_cvm(one) else ""
            words = [_kind(one.type), one.name, *(detail.split(", ") if detail else [])]
            yield f'    {nodes[one.key]}["{"<br/>".join(map(_escaped, words))}"]{":::cvm" if self._is_cvm(one) else ""}'
        yield "  end"
        ends = {name: f"o{number}" for number, name in enumerate(self._ends(cvms))}
        for name, node in ends.items():
            yield f'  {node}(["{_escaped(name)}"])'
        # In a box of their own, so that no arrow seems to begin at them.
        if idle := [name for name in self.reach.outside if name not in ends]:
            yield '  subgraph nothing["reach nothing here"]'
            for number, name in enumerate(idle):
                yield f'    n{number}(["{_escaped(name)}"])'
            yield "  end"
        everywhere = {**ends, **cvms}
        for edge in self.reach.edges:
            yield f'  {everywhere[edge.source]} -->|"{_escaped(_label(edge))}"| {everywhere[edge.target]}'
        uses = {one.key: self._uses(one, shown) for one in shown}
        machines = {one.key for one in shown if self._is_cvm(one)}
        # A machine waits for the one before it, and uses nothing of it.
        drawn = {key: [other for other in found if not {key, other} <= machines] for key, found in uses.items()}
        for key in uses:
            for other in _direct(key, drawn):
                yield f"  {nodes[key]} -.-> {nodes[other]}"
        yield f"  {_STYLE}"

    def _shown(self) -> list[Resource]:
        return [one for one in self.resources if not one.type.startswith(_HIDDEN)]

    def _is_cvm(self, one: Resource) -> bool:
        return one.name in self.reach.cvms and _kind(one.type) in _MACHINES

    def _ends(self, cvms: Mapping[str, str]) -> list[str]:
        """Where edges begin and end outside of the workspace."""
        ends = (end for edge in self.reach.edges for end in (edge.source, edge.target))
        return [name for name in dict.fromkeys(ends) if name not in cvms]

    @staticmethod
    def _uses(one: Resource, among: Sequence[Resource]) -> list[Key]:
        known = {other.key for other in among}
        return sorted({key for key in one.dependencies if key in known})


_MACHINES = ("Cvm", "VirtualMachine", "Instance")


def _direct(of: Key, uses: Mapping[Key, Sequence[Key]]) -> list[Key]:
    """What ``of`` uses and nothing else that it uses does: the arrows between would say the same twice."""
    return [key for key in uses[of] if not any(key in _behind(other, uses) for other in uses[of] if other != key)]


def _behind(start: Key, uses: Mapping[Key, Sequence[Key]]) -> set[Key]:
    found: set[Key] = set()
    waiting = list(uses[start])
    while waiting:
        key = waiting.pop()
        if key not in found:
            found.add(key)
            waiting += uses[key]
    return found


def _kind(type_: str) -> str:
    return type_.rpartition(":")[2]


def _label(edge: Edge) -> str:
    if not edge.service:
        return ", ".join(edge.addresses)
    return f"{edge.service}{format_networks(edge.preposition, edge.addresses)}"


def _escaped(words: str) -> str:
    """Mermaid's own escapes, inside of quotes."""
    for plain, code in (("#", "#35;"), ("&", "#amp;"), ("<", "#lt;"), (">", "#gt;"), ('"', "#quot;")):
        words = words.replace(plain, code)
    return words
