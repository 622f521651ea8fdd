"""The verb ``bench``."""

from typing import Any

from invoke.exceptions import Exit

from cloister.cli.shell.verb import verb


@verb(
    help={
        "names": "verbs, verifier, image, packages, page, parties, reports, sandbox, publish, transfer, load, clouds, "
        "boot, workspace; commas between (default: all)",
        "repeat": "runs of each command, of which the median counts",
    },
    example="invoke bench --names verifier",
)
def bench(c: Any, names: str = "", repeat: int = 5) -> None:
    """Measure how long the public commands take on this machine (all of them: half an hour)."""
    from benchmarks.__main__ import main

    code = main(["--repeat", str(repeat), *(name for name in names.split(",") if name)])
    if code != 0:
        raise Exit(code=code)
