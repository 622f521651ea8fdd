"""The clouds' machine types, and the choice of one for a CVM."""

from dataclasses import dataclass

from cloister.errors import InputError

TEES = ("sev-snp", "tdx")

_GIBIBYTE = 1 << 30


@dataclass(frozen=True, order=True)
class Size:
    """A machine type; ``memory`` in bytes. Ordered by processors, then by memory."""

    vcpus: int
    memory: int
    name: str


def _series(pattern: str, sizes: dict[int, int]) -> tuple[Size, ...]:
    """``sizes``: processors -> GiB of memory."""
    return tuple(Size(vcpus, gibibytes * _GIBIBYTE, pattern.format(vcpus)) for vcpus, gibibytes in sizes.items())


def _proportional(pattern: str, gibibytes: int, *vcpus: int) -> tuple[Size, ...]:
    return _series(pattern, {count: count * gibibytes for count in vcpus})


SIZES: dict[tuple[str, str], tuple[Size, ...]] = {
    ("azure", "sev-snp"): (
        *_proportional("Standard_DC{}as_v5", 4, 2, 4, 8, 16, 32, 48, 64, 96),
        *_series("Standard_EC{}as_v5", {2: 16, 4: 32, 8: 64, 16: 128, 20: 160, 32: 256, 48: 384, 64: 512, 96: 672}),
    ),
    ("azure", "tdx"): (
        *_proportional("Standard_DC{}es_v6", 4, 2, 4, 8, 16, 32, 48, 64, 96, 128),
        *_proportional("Standard_EC{}es_v6", 8, 2, 4, 8, 16, 32, 48, 64),
    ),
    ("gcp", "sev-snp"): (
        *_proportional("n2d-highcpu-{}", 1, 2, 4, 8, 16, 32, 48, 64, 80, 96, 128, 224),
        *_proportional("n2d-standard-{}", 4, 2, 4, 8, 16, 32, 48, 64, 80, 96, 128, 224),
        *_proportional("n2d-highmem-{}", 8, 2, 4, 8, 16, 32, 48, 64, 80, 96),
    ),
    ("gcp", "tdx"): _proportional("c3-standard-{}", 4, 4, 8, 22, 44, 88, 176),
}


def choose(backend: str, tee: str, vcpus: int, memory: int) -> str:
    """The smallest machine type with at least ``vcpus`` processors and ``memory`` bytes: the fewest processors first,
    then the least memory.

    Raises InputError that lists the machine types when none is large enough.
    """
    sizes = SIZES[backend, tee]
    enough = [size for size in sizes if size.vcpus >= vcpus and size.memory >= memory]
    if not enough:
        listed = ", ".join(f"{size.name} ({size.vcpus}, {size.memory // _GIBIBYTE}GiB)" for size in sorted(sizes))
        raise InputError(
            f"no machine type for {tee} on {backend} has {vcpus} vCPUs and {memory / _GIBIBYTE:g}GiB; "
            f"available: {listed}."
        )
    return min(enough).name
