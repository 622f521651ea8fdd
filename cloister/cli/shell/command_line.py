"""The command line as the user typed it: the one place that reads sys.argv."""

import subprocess
import sys
from collections.abc import Collection
from pathlib import Path


def program() -> str:
    """Return the command that was typed: ``invoke`` in a checkout, otherwise ``cloister``."""
    name = Path(sys.argv[0]).name
    return name if name in ("invoke", "inv") else "cloister"


def typed_verb(name: str) -> str:
    """Return a verb as it was typed: ``member.add`` for the task ``add``."""
    ends = (name, name.rstrip("-"))
    return next((word for word in sys.argv[1:] if word.rpartition(".")[2] in ends), name)


def count_words(verb: str, takes_value: Collection[str]) -> int:
    """Count the words after ``verb``, as typed, that are neither options nor the values of ``takes_value``."""
    behind = sys.argv[sys.argv.index(verb) + 1 :] if verb in sys.argv else []
    count = 0
    is_value = False
    for word in behind:
        if is_value:
            is_value = False
        elif word.startswith("-"):
            is_value = word in takes_value
        else:
            count += 1
    return count


def has_option(option: str) -> bool:
    """Return whether the option was typed, before or after the verb."""
    return option in sys.argv


def explain(verb: str) -> None:
    """Do what ``--help VERB`` does. Invoke would take --help after the verb for its positional argument."""
    start = sys.orig_argv[: len(sys.orig_argv) - len(sys.argv) + 1]
    subprocess.run([*start, "--help", verb], check=False)
