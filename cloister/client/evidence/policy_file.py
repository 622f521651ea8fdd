"""A party's policy in its file."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from cloister import userfile
from cloister.attestation.policy.document import MAX_SIZE
from cloister.attestation.policy.either import AnyPolicy, parse_policy
from cloister.attestation.policy.policy import Policy
from cloister.client.files import document_type
from cloister.errors import InputError
from cloister.userfile import FilePath

_Read = TypeVar("_Read", bound=AnyPolicy)

KEEP = "Keep the old policy: results that were fetched under it are verified with it."


def load_policy(path: FilePath) -> Policy:
    """The policy for sessions at ``path``, JSON or YAML. Raises InputError, also for one for raw evidence."""
    return _load(Path(path), Policy.parse)


def load_any_policy(path: FilePath) -> AnyPolicy:
    """The policy at ``path``, JSON or YAML, of either kind: for sessions, or for raw evidence. Raises InputError."""
    return _load(Path(path), parse_policy)


def _load(path: Path, parse: Callable[[bytes], _Read]) -> _Read:
    try:
        data = userfile.read(path, MAX_SIZE)
    except OSError as error:
        raise userfile.unreadable(f"The policy {path}", error, missing="`policy` writes one.") from error
    try:
        return parse(data)
    except InputError as error:
        raise document_type.mistaken(path, data, document_type.POLICY, error) from error


def save_policy(policy: AnyPolicy, path: FilePath) -> None:
    """Write a policy to a new file.

    Raises InputError when the file exists, because its values may have been confirmed, or cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        userfile.write_new(path, policy.encode() + b"\n")
    except FileExistsError as error:
        raise policy_exists(path) from error
    except OSError as error:
        raise userfile.unwritable(path, error) from error


def policy_exists(path: Path) -> InputError:
    """The error for a policy that would be overwritten."""
    return userfile.occupied(path, "a policy is not overwritten", f"Name another file with --output. {KEEP}")
