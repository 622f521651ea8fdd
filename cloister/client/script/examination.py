"""Examines an algorithm before it is agreed on or uploaded, by the rules of its kind."""

from cloister.client.script import binary, oci, python, wasm
from cloister.client.script.algorithm import Program, ProgramFindings

_BY_KIND = {"python": python.examine, "binary": binary.examine, "oci": oci.examine, "wasm": wasm.examine}


def examine(program: Program) -> ProgramFindings:
    """Refuse a program that certainly fails in the guest, and warn of what may fail.

    Raises InputError, for kind python also its subclass UnusableBundle.
    """
    return _BY_KIND[program.kind](program)
