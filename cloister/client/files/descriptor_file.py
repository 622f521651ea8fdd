"""The workspace descriptor in its file: the addresses of CVMs, and the names of members."""

from pathlib import Path

from cloister import userfile
from cloister.client.files import document_type
from cloister.errors import InputError
from cloister.protocol.descriptor import MAX_SIZE, CvmEntry, Descriptor
from cloister.protocol.signingkey import key_id
from cloister.userfile import FilePath


def load_descriptor(path: FilePath) -> Descriptor:
    """The descriptor at ``path``. Raises InputError."""
    path = Path(path)
    try:
        data = userfile.read(path, MAX_SIZE)
    except OSError as error:
        raise userfile.unreadable(
            f"The workspace descriptor {path}",
            error,
            missing="Ask the platform team for it (they export it with: invoke workspace.export).",
        ) from error
    try:
        return Descriptor.parse(data)
    except InputError as error:
        raise document_type.mistaken(path, data, document_type.DESCRIPTOR, error) from error


def find_cvm(descriptor: Descriptor, name: str | None) -> CvmEntry:
    """The CVM called ``name``; without a name, the only CVM. Raises InputError."""
    names = ", ".join(cvm.name for cvm in descriptor.cvms)
    if name is None:
        if len(descriptor.cvms) == 1:
            return descriptor.cvms[0]
        raise InputError(
            f"The workspace {descriptor.workspace} has several CVMs: {names}.", hint="Name one with --cvm."
        )
    for cvm in descriptor.cvms:
        if cvm.name == name:
            return cvm
    raise InputError(f"The workspace {descriptor.workspace} has no CVM {name!r}; it has: {names}.")


def member_names(descriptor: Descriptor) -> dict[str, str]:
    """Key id -> name of the workspace's members, for display: the platform team chose the names."""
    return {key_id(member.key): member.name for member in descriptor.members}
