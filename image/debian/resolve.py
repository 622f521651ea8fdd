"""From the packages that a recipe names to all packages that they need."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from image.debian.packages import Package, Relation
from image.debian.versions import Version
from image.errors import ImageError


class ResolveError(ImageError):
    """A dependency cannot be met from the archives that the recipe names."""

    remedy = "Correct the recipe in image/recipes."


@dataclass(frozen=True)
class Candidate:
    """A package and the archive that has it."""

    package: Package
    archive: str


class Index:
    """The newest version of each package over several archives, and who provides which virtual name."""

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
        """Who satisfies ``relation``: the package itself, then those that provide its name, by name."""
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
    """``packages`` with all that they depend on, sorted by name, without ``left_out`` and what only that needs.

    Among alternatives one that is there already is taken, else the first that the archives have.
    Raises ResolveError for a dependency that nothing meets, and for a name in ``left_out`` that nothing needed.
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
            raise ResolveError(f"The archives have no package {name}, which the recipe names.")
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
        raise ResolveError(f"The recipe leaves out {min(unused)}, which nothing needs: take it out of 'left_out'.")
    return [chosen[name] for name in sorted(chosen)]
