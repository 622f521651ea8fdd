"""The workspace descriptor on the party's side: where a CVM is, and who its members are said to be."""

from pathlib import Path

from cloister import userfile
from cloister.errors import InputError
from cloister.protocol.descriptor import MAX_SIZE, CvmEntry, Descriptor
from cloister.protocol.transcript import key_id


def load(path: Path) -> Descriptor:
    """The descriptor at ``path``. Raises InputError."""
    try:
        return Descriptor.parse(userfile.read(path, MAX_SIZE))
    except OSError as error:
        raise InputError(
            f"The workspace descriptor {path} cannot be read: {error.strerror}.",
            hint="The platform team makes it with: invoke workspace.export",
        ) from error
    except InputError as error:
        raise InputError(f"{path}: {error.message}", hint=error.hint) from error


def find(descriptor: Descriptor, name: str | None) -> CvmEntry:
    """The CVM of that name, or the only one when ``name`` is None. Raises InputError."""
    names = ", ".join(cvm.name for cvm in descriptor.cvms)
    if name is None:
        if len(descriptor.cvms) == 1:
            return descriptor.cvms[0]
        raise InputError(
            f"The workspace {descriptor.workspace} has several CVMs: {names}.", hint="Name one: --cvm NAME"
        )
    for cvm in descriptor.cvms:
        if cvm.name == name:
            return cvm
    raise InputError(f"The workspace {descriptor.workspace} has no CVM {name!r}; it has: {names}.")


def names(descriptor: Descriptor) -> dict[str, str]:
    """Key id -> member's name, as the platform team says."""
    return {key_id(member.key): member.name for member in descriptor.members}
