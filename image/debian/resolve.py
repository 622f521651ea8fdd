"""Resolve the dependencies of the packages that a recipe names."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from image.debian.packages import Package, Relation
from image.debian.versions import Version
from image.errors import ImageError


class ResolveError(ImageError):
    """A dependency cannot be satisfied from the archives that the recipe names."""

    remedy = "Correct the recipe, then run the command again."


@dataclass(frozen=True)
class Candidate:
    """A package and the archive that contains it."""

    package: Package
    archive: str


class Index:
    """The newest version of each package across several archives, and the providers of each virtual package."""

    def __init__(self, archives: Mapping[str, Iterable[Package]]) -> None:
        self._newest: dict[str, Candidate] = {}
        for archive, packages in archives.items():
            for package in packages:
                known = self._newest.get(package.name)
                if known is None or Version(package.version) > Version(known.package.version):
                    self._newest[package.name] = Candidate(package, archive)
        self._providers: dict[str, list[str]] = {}
        for name, candidate in sorted(self._newest.items()):
            for provided in candidate.package.provides:
                self._providers.setdefault(provided.name, []).append(name)

    def get(self, name: str) -> Candidate | None:
        return self._newest.get(name)

    def satisfiers(self, relation: Relation) -> list[Candidate]:
        """Packages that satisfy ``relation``: the one of that name first, then its providers in order of name."""
        found = []
        real = self._newest.get(relation.name)
        if real is not None and relation.holds(real.package.version):
            found.append(real)
        for name in self._providers.get(relation.name, []):
            provider = self._newest[name]
            versions = [p.version for p in provider.package.provides if p.name == relation.name]
            if any(not relation.operator or (version and relation.holds(version)) for version in versions):
                found.append(provider)
        return found


def closure(index: Index, packages: Iterable[str], left_out: Iterable[str]) -> list[Candidate]:
    """``packages`` and their dependencies, sorted by name, without ``left_out`` and what only those need.

    Of alternatives, one that is already chosen is taken, else the first that the archives have.
    Raises ResolveError for a dependency that nothing satisfies, and for a name in ``left_out`` that nothing needs.
    """
    skipped, unused = set(left_out), set(left_out)
    chosen: dict[str, Candidate] = {}
    queue: deque[Candidate] = deque()

    def choose(candidate: Candidate) -> None:
        chosen[candidate.package.name] = candidate
        queue.append(candidate)

    for name in packages:
        candidate = index.get(name)
        if candidate is None:
            raise ResolveError(f"The recipe names the package {name}, which the archives do not have.")
        choose(candidate)
    while queue:
        needing = queue.popleft().package
        for group in needing.depends:
            met = [found for relation in group for found in index.satisfiers(relation)]
            names = [found.package.name for found in met] + [relation.name for relation in group]
            left = skipped.intersection(names)
            if any(name in chosen for name in names if name not in skipped):
                unused -= left
                continue
            if left:
                unused -= left
                continue
            if not met:
                text = " | ".join(f"{r.name} {r.operator} {r.version}".strip() for r in group)
                raise ResolveError(f"{needing.name} {needing.version} needs {text}, which the archives do not have.")
            choose(met[0])
    if unused:
        raise ResolveError(f"The recipe leaves out {min(unused)}, which nothing needs. Remove it from 'left_out'.")
    return [chosen[name] for name in sorted(chosen)]
