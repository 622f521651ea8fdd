"""The verb ``demo``."""

from pathlib import Path

from invoke.collection import Collection
from invoke.context import Context

from cloister.cli.shell.verb import verb


@verb(
    interrupted="Run `demo` again: it continues with the existing workspace.",
    help={"output": "folder in which each party gets a folder"},
)
def demo(c: Context, output: str = "out/demo") -> None:
    """Run a whole computation on this machine: three hospitals train one classifier (about three minutes)."""
    from examples.tumour import demo as tumour

    tumour.run(Path(output).resolve())


namespace = Collection(demo)
