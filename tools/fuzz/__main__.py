"""``python -m tools.fuzz TARGET``: coverage-guided fuzzing of one target, for some minutes of CPU time.

Needs atheris (`make fuzz`). New inputs and findings are written to ``--output``.
"""

import argparse
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tools.fuzz.targets import CORPUS, MAX_SIZE, TARGETS

REPORT = "report.json"
"""File beside the inputs: the target, the number of inputs, and the seconds of CPU time."""


def _until(target: Callable[[bytes], None], seconds: float, finish: Callable[[int], None]) -> Callable[[bytes], None]:
    """``target``, followed by ``finish`` with the number of runs once the process has used ``seconds`` of CPU time."""
    runs = 0

    def once(data: bytes) -> None:
        nonlocal runs
        runs += 1
        target(data)
        if runs % 256 == 0 and time.process_time() > seconds:
            finish(runs)

    return once


def main() -> None:
    """Run the fuzzer, which ends the process; the status is not 0 after a finding."""
    parser = argparse.ArgumentParser(prog="python -m tools.fuzz")
    parser.add_argument("target", choices=tuple(TARGETS))
    parser.add_argument("--minutes", type=float, default=1.0, help="of CPU time")
    parser.add_argument("--output", type=Path, required=True, help="folder of new inputs and findings")
    options = parser.parse_args()
    atheris = importlib.import_module("atheris")  # an extra, which is not installed for the type checks

    seconds = time.process_time() + 60 * options.minutes
    inputs = options.output / "inputs"
    inputs.mkdir(parents=True, exist_ok=True)

    def finish(runs: int) -> None:
        report = {"target": options.target, "runs": runs, "seconds": round(time.process_time(), 1)}
        (options.output / REPORT).write_text(json.dumps(report) + "\n", encoding="utf-8")
        sys.stderr.flush()
        os._exit(0)  # libFuzzer would report an exception as a finding

    target = TARGETS[options.target]
    with atheris.instrument_imports(include=["cloister"]):
        for seed in sorted((CORPUS / options.target).glob("*")):
            target(seed.read_bytes())  # imports what the target needs
    arguments = [sys.argv[0], str(inputs), str(CORPUS / options.target)]
    arguments += [f"-max_len={MAX_SIZE}", "-timeout=10", "-rss_limit_mb=2048", "-use_value_profile=1"]
    arguments += [f"-artifact_prefix={options.output}/", "-print_final_stats=1"]
    atheris.Setup(arguments, _until(target, seconds, finish))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
