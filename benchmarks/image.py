"""Time and memory of ``invoke image.build``, beside that of an earlier commit in the same run; size of its outputs.

Both checkouts build with every input in the cache and no step of an earlier build, alternately.
"""

import json
import os
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks import baseline, memory
from benchmarks.measurement import CHECKOUT, INVOKE, BenchmarkError, BenchmarkResult, invoke
from benchmarks.slow_mirror import SlowMirror
from cloister.protocol.imagemanifest import KERNEL_IMAGE
from image.inputs.chain import TOOLS

FLAVOR = "base"
BASELINE = "9c186976"
"""The commit before the build was made faster."""

_OUTPUT = CHECKOUT / "out" / "image" / FLAVOR
# The contents of the raw disk's partitions; the rest is padding and the partition table.
_CONTENTS = (KERNEL_IMAGE, "root.erofs", "root.verity")
_MEGABYTE = 1_000_000
_SHARE = 1 / 1.7
_RATE = 10
"""Of the mirror of the cold build, MB/s."""


def measure(repeat: int) -> list[BenchmarkResult]:
    """Builds with and without cached inputs, one that has nothing to do, their memory, and the sizes of outputs."""
    invoke("image.build", "--flavor", FLAVOR)
    return [*_warm(repeat), _nothing_changed(repeat), _cold(), _memory(repeat), *_sizes()]


def _warm(repeat: int) -> list[BenchmarkResult]:
    # --fresh runs every step again; only the packages come from the cache.
    checkouts = {"here": CHECKOUT, BASELINE: baseline.checkout(BASELINE)}
    seconds: dict[str, list[float]] = {name: [] for name in checkouts}
    for turn in range(repeat + 1):
        for name, checkout in checkouts.items():
            began = time.monotonic()
            baseline.run(checkout, ["-m", "invoke", "image.build", "--flavor", FLAVOR, "--fresh"])
            if turn:  # the first one compiles the checkout's byte code and reads the inputs from the disk
                seconds[name].append(time.monotonic() - began)
    shares = [one / other for one, other in zip(*seconds.values(), strict=True)]
    how = f"wall time with --fresh on {len(os.sched_getaffinity(0))} processors; both alternately"
    return [
        *(
            BenchmarkResult(
                f"`image.build`, inputs cached, {name}", tuple(taken), "s", 15 if name == "here" else None, how
            )
            for name, taken in seconds.items()
        ),
        BenchmarkResult(
            f"the same, as a share of {BASELINE}'s median",
            tuple(one / statistics.median(seconds[BASELINE]) for one in seconds["here"]),
            "x",
            round(_SHARE, 2),
            f"in the same run; pair by pair {min(shares):.2f} to {max(shares):.2f}",
        ),
    ]


def _nothing_changed(repeat: int) -> BenchmarkResult:
    values = tuple(invoke("image.build", "--flavor", FLAVOR) for _ in range(repeat))
    return BenchmarkResult("`image.build`, nothing changed", values, "s", 1, "every output is read and hashed")


def _cold() -> BenchmarkResult:
    with (
        tempfile.TemporaryDirectory(prefix="cloister-cold-") as empty,
        SlowMirror((FLAVOR, TOOLS), _RATE * _MEGABYTE) as mirror,
    ):
        taken = invoke("image.build", "--flavor", FLAVOR, environment={**mirror.environment, "XDG_CACHE_HOME": empty})
    how = f"an empty cache; {mirror.size / _MEGABYTE:.0f} MB of packages, wheels and host tools at {_RATE} MB/s"
    return BenchmarkResult("`image.build`, inputs and tools fetched", (taken,), "s", 60, how)


def _memory(repeat: int) -> BenchmarkResult:
    highest = tuple(memory.peak([INVOKE, "image.build", "--flavor", FLAVOR, "--fresh"]) for _ in range(repeat))
    how = "of all processes of a build with --fresh together (PSS), every 20 ms"
    return BenchmarkResult("`image.build`, peak memory", highest, "MB", 500, how)


def _sizes() -> list[BenchmarkResult]:
    sizes = _of_outputs(_OUTPUT)
    return [
        BenchmarkResult(
            "raw disk without the ESP's padding", (sum(sizes.values()),), "MB", 85, "UKI, root and hash tree"
        ),
        BenchmarkResult("UKI", (sizes[KERNEL_IMAGE],), "MB", 15, "manifest.json"),
    ]


def _of_outputs(folder: Path) -> dict[str, float]:
    try:
        outputs = json.loads((folder / "manifest.json").read_bytes())["outputs"]
        return {name: outputs[name]["size"] / _MEGABYTE for name in _CONTENTS}
    except (OSError, ValueError, KeyError) as error:
        raise BenchmarkError(f"{folder / 'manifest.json'} does not have the sizes of the outputs.") from error
