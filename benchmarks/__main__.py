"""``python -m benchmarks [NAME ...]``: measure, print a table, keep the figures in out/bench.json."""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict

from benchmarks import clouds, image, publish, verbs, verifier, workspace
from benchmarks.measurement import CHECKOUT, BenchmarkResult
from cloister.errors import CloisterError

BENCHMARKS: dict[str, Callable[[int], list[BenchmarkResult]]] = {
    "verbs": verbs.measure,
    "verifier": verifier.measure,
    "image": image.measure,
    "publish": publish.measure,
    "clouds": clouds.measure,
    "workspace": workspace.measure,
}


def main(arguments: list[str] | None = None) -> int:
    """Run the named benchmarks, all by default. Ends with 1 when a figure is not reached or a command failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="How long the public commands take.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHMARKS)}; all when none is named")
    parser.add_argument("--repeat", type=int, default=5, help="runs of each command; the median counts (default: 5)")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in BENCHMARKS]:
        parser.error(f"no benchmark is called {unknown[0]}; there are {', '.join(BENCHMARKS)}")
    if options.repeat < 1:
        parser.error("--repeat must be at least 1")
    found: list[BenchmarkResult] = []
    print("| what | reach | here | how |\n|---|---|---|---|", flush=True)
    try:
        for name in options.names or BENCHMARKS:
            for measurement in BENCHMARKS[name](options.repeat):
                found.append(measurement)
                print(measurement.row(), flush=True)
                for part, took in measurement.parts:
                    print(f"|   of it {part} | | {took:.2f} {measurement.unit} | |", flush=True)
    except CloisterError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    output = CHECKOUT / "out" / "bench.json"
    output.parent.mkdir(exist_ok=True)
    output.write_text(json.dumps([asdict(measurement) for measurement in found], indent=1) + "\n", encoding="utf-8")
    return 0 if all(measurement.reached for measurement in found) else 1


if __name__ == "__main__":
    raise SystemExit(main())
