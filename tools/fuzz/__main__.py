"""``python -m tools.fuzz TARGET``: one target under coverage-guided fuzzing, for some minutes of processor time.

The interpreter needs atheris (`make fuzz`). New inputs are kept in ``--output``, findings beside them.
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
"""Beside the inputs: the target, how many inputs it was given, and the seconds of processor time."""


def _until(target: Callable[[bytes], None], seconds: float, finish: Callable[[int], None]) -> Callable[[bytes], None]:
    """``target``, which calls ``finish`` with the number of its runs when the process has had ``seconds``."""
    runs = 0

    def once(data: bytes) -> None:
        nonlocal runs
        runs += 1
        target(data)
        if runs % 256 == 0 and time.process_time() > seconds:
            finish(runs)

    return once


def main() -> None:
    """Never returns: the fuzzer ends the process, with a status other than 0 after a finding."""
    parser = argparse.ArgumentParser(prog="python -m tools.fuzz")
    parser.add_argument("target", choices=tuple(TARGETS))
    parser.add_argument("--minutes", type=float, default=1.0, help="of processor time")
    parser.add_argument("--output", type=Path, required=True, help="folder of new inputs and findings")
    options = parser.parse_args()
    atheris = importlib.import_module("atheris")  # an extra, which the checks of types do without

    seconds = time.process_time() + 60 * options.minutes
    inputs = options.output / "inputs"
    inputs.mkdir(parents=True, exist_ok=True)

    def finish(runs: int) -> None:
        report = {"target": options.target, "runs": runs, "seconds": round(time.process_time(), 1)}
        (options.output / REPORT).write_text(json.dumps(report) + "\n", encoding="utf-8")
        sys.stderr.flush()
        os._exit(0)  # libFuzzer would take an exception for a finding

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
