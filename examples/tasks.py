"""The verb that shows the whole way."""

from pathlib import Path

from invoke.collection import Collection
from invoke.context import Context

from cloister.cli.shell.verb import verb


@verb(
    interrupted="`demo` goes on with what is there.",
    help={"output": "folder that gets one folder for each party"},
)
def demo(c: Context, output: str = "out/demo") -> None:
    """Play the whole way on this machine: three hospitals train one classifier (about three minutes)."""
    from examples.tumour import demo as tumour

    tumour.run(Path(output).resolve())


namespace = Collection(demo)
