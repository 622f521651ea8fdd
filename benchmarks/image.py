"""Time of ``invoke image.build`` and the size of its outputs."""

import json

from benchmarks.measurement import CHECKOUT, BenchmarkError, BenchmarkResult, invoke

FLAVOR = "base"
_OUTPUT = CHECKOUT / "out" / "image" / FLAVOR
# The contents of the raw disk's partitions; the rest is padding and the partition table.
_CONTENTS = ("uki.efi", "root.erofs", "root.verity")
_MEGABYTE = 1_000_000


def measure(repeat: int) -> list[BenchmarkResult]:
    """Wall time of a build with cached inputs, and the sizes in the image's manifest."""
    invoke("image.build", "--flavor", FLAVOR)
    # --fresh runs every step again; only the packages come from the cache.
    values = tuple(invoke("image.build", "--flavor", FLAVOR, "--fresh") for _ in range(repeat))
    sizes = _sizes()
    return [
        BenchmarkResult("`image.build`, inputs cached", values, "s", 15, "wall time with --fresh"),
        BenchmarkResult(
            "raw disk without the ESP's padding", (sum(sizes.values()),), "MB", 85, "UKI, root and hash tree"
        ),
        BenchmarkResult("UKI", (sizes["uki.efi"],), "MB", 15, "manifest.json"),
    ]


def _sizes() -> dict[str, float]:
    try:
        outputs = json.loads((_OUTPUT / "manifest.json").read_bytes())["outputs"]
        return {name: outputs[name]["size"] / _MEGABYTE for name in _CONTENTS}
    except (OSError, ValueError, KeyError) as error:
        raise BenchmarkError(f"{_OUTPUT / 'manifest.json'} does not have the sizes of the outputs.") from error
