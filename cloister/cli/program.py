"""The command ``cloister``."""

from importlib.metadata import version

from invoke.program import Program

from cloister.cli import collection


def run() -> None:
    """Run the command line and end the process."""
    Program(name="Cloister", binary="cloister", version=version("cloister"), namespace=collection()).run()
