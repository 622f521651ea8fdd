"""``python -m benchmarks [NAME ...]``: measures, prints a table, writes the values to out/bench.json."""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict

from benchmarks import (
    boot,
    clouds,
    image,
    load,
    packages,
    page,
    parties,
    publish,
    reports,
    sandbox,
    scratch,
    transfer,
    verbs,
    verifier,
    wiping,
    workspace,
)
from benchmarks.measurement import CHECKOUT, BenchmarkResult
from cloister.errors import CloisterError

BENCHMARKS: dict[str, Callable[[int], list[BenchmarkResult]]] = {
    "verbs": verbs.measure,
    "verifier": verifier.measure,
    "image": image.measure,
    "packages": packages.measure,
    "page": page.measure,
    "parties": parties.measure,
    "sandbox": sandbox.measure,
    "scratch": scratch.measure,
    "wiping": wiping.measure,
    "publish": publish.measure,
    "reports": reports.measure,
    "transfer": transfer.measure,
    "load": load.measure,
    "clouds": clouds.measure,
    "boot": boot.measure,
    "workspace": workspace.measure,
}


def main(arguments: list[str] | None = None) -> int:
    """Run the named benchmarks, all by default. Returns 1 if a target is missed or a command failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="How long the public commands take.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHMARKS)}; all by default")
    parser.add_argument("--repeat", type=int, default=5, help="runs of each command; the median is taken (default: 5)")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in BENCHMARKS]:
        parser.error(f"unknown benchmark {unknown[0]}; known are {', '.join(BENCHMARKS)}")
    if options.repeat < 1:
        parser.error("--repeat must be at least 1")
    found: list[BenchmarkResult] = []
    print("| what | target | here | how |\n|---|---|---|---|", flush=True)
    try:
        for name in options.names or BENCHMARKS:
            for result in BENCHMARKS[name](options.repeat):
                found.append(result)
                print(result.row(), flush=True)
                for part, took in result.parts:
                    print(f"|   of which {part} | | {took:.2f} {result.unit} | |", flush=True)
    except CloisterError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    output = CHECKOUT / "out" / "bench.json"
    output.parent.mkdir(exist_ok=True)
    output.write_text(json.dumps([asdict(result) for result in found], indent=1) + "\n", encoding="utf-8")
    return 0 if all(result.meets_target for result in found) else 1


if __name__ == "__main__":
    raise SystemExit(main())
