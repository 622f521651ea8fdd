"""Time from the start of QEMU to the first verdict, beside the build of an earlier commit in the same run.

Both checkouts build their own image and start it with their own options, alternately. The earlier commit is taken from
this clone's history, or from the folder of its name in CLOISTER_BASELINE.
"""

import json
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import baseline, first_verdict
from benchmarks.measurement import CHECKOUT, BenchmarkResult, median_parts

BASELINE = "ce6e3c5"
"""The commit before the start was made faster."""

_TARGET = 0.75


def measure(repeat: int) -> list[BenchmarkResult]:
    """The verdict of both, over ``repeat`` starts of each, and the one as a share of the other."""
    checkouts = {"here": CHECKOUT, BASELINE: baseline.checkout(BASELINE)}
    images = {name: _image(checkout) for name, checkout in checkouts.items()}
    boots: dict[str, list[dict[str, Any]]] = {name: [] for name in checkouts}
    for _ in range(repeat):
        for name, checkout in checkouts.items():
            boots[name].append(_boot(checkout, images[name]))
    seconds = {name: [boot["ready"] + boot["attest"] for boot in found] for name, found in boots.items()}
    how = "start of the process to the agent's `ready`, and the verb `attest`; both alternately"
    shares = [one / other for one, other in zip(*seconds.values(), strict=True)]
    return [
        *(
            BenchmarkResult(
                f"QEMU start to the first verdict of a client, {name}",
                tuple(seconds[name]),
                "s",
                30 if name == "here" else None,
                how,
                median_parts([_parts(boot) for boot in boots[name]]),
            )
            for name in checkouts
        ),
        BenchmarkResult(
            f"the same, as a share of {BASELINE}'s median",
            tuple(one / statistics.median(seconds[BASELINE]) for one in seconds["here"]),
            "x",
            _TARGET,
            f"in the same run; pair by pair {min(shares):.2f} to {max(shares):.2f}",
        ),
    ]


def _image(checkout: Path) -> Path:
    """Build the image of a checkout with its own code; the path of its manifest."""
    baseline.run(checkout, ["-m", "invoke", "image.build"])
    return checkout / "out/image/base/manifest.json"


def _boot(checkout: Path, image: Path) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(prefix="boot-"))
    try:
        # -P: the folder of the script has modules with the names of the project's rooms.
        said = baseline.run(checkout, ["-P", first_verdict.__file__, str(image), str(folder / "machine")])
    finally:
        shutil.rmtree(folder)
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


def _parts(boot: dict[str, Any]) -> dict[str, float]:
    """The parts of the time from QEMU's start to the verdict, by milestone in the order of their uptimes."""
    milestones = sorted(boot["milestones"], key=lambda one: one[1])
    found, before = {"firmware and loader": boot["ready"] - milestones[-1][1]}, 0.0
    for name, uptime in milestones:
        found[f"to {name}"] = uptime - before
        before = uptime
    return {**found, "attest": boot["attest"]}
