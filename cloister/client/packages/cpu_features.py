"""Packages whose wheels need CPU instructions that some machines lack.

Clouds' confidential CVMs have them all. A local machine without KVM leaves out AVX2 and FMA (docs/workspace.md), and a
program that uses them regardless ends with SIGILL, often when the package is imported.
"""

from collections.abc import Iterable
from dataclasses import dataclass

_NO_OTHER = "It has no build for other CPUs."
_COMPATIBLE = "polars-runtime-compat"
_RUNTIMES = frozenset({"polars-runtime-32", "polars-runtime-64"})


@dataclass(frozen=True)
class _Need:
    """What a package needs, what to do without it, and the packages any one of which removes the need."""

    features: str
    remedy: str
    unless: frozenset[str] = frozenset()


_POLARS = _Need("AVX2 and FMA", "Lock polars[rtcompat], which brings a build for other CPUs.", frozenset({_COMPATIBLE}))
_NEEDS = {
    # polars/_cpu_check.py warns of a crash on other CPUs; polars/_plr.py takes the compatible build where there is one.
    "polars-runtime-32": _POLARS,
    "polars-runtime-64": _POLARS,
    # Releases without run-time packages (polars' documentation, "Installation").
    "polars": _Need("AVX2 and FMA", "Lock polars-lts-cpu instead.", _RUNTIMES | {_COMPATIBLE}),
    "polars-u64-idx": _Need("AVX2 and FMA", "Lock polars-lts-cpu instead.", _RUNTIMES | {_COMPATIBLE}),
    # lance-format/lance, CONTRIBUTING.md: published wheels target Haswell; issues 2195 and 6618.
    "pylance": _Need("AVX2, FMA and F16C", _NO_OTHER),
    "lancedb": _Need("AVX2, FMA and F16C", _NO_OTHER),
    # intel/intel-extension-for-pytorch, issue 220: it checks for AVX2 when it is imported.
    "intel-extension-for-pytorch": _Need("AVX2", "Use torch without it."),
    # qulacs/qulacs, pull request 241: wheels are published with AVX2 only.
    "qulacs": _Need("AVX2", _NO_OTHER),
}


def warnings(packages: Iterable[str]) -> tuple[str, ...]:
    """A sentence for each of the ``packages`` of a bundle (normalised names) that needs AVX2 or more, sorted."""
    names = frozenset(packages)
    return tuple(
        f"{name} needs a CPU with {need.features}, which a local machine without KVM has only with `cpu: max`. "
        f"{need.remedy}"
        for name, need in sorted(_NEEDS.items())
        if name in names and names.isdisjoint(need.unless)
    )
