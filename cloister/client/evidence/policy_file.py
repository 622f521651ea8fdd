"""A party's policy in its file."""

from pathlib import Path

from cloister import userfile
from cloister.attestation.policy.policy import MAX_SIZE, Policy
from cloister.client.files import document_type, exclusive
from cloister.errors import InputError
from cloister.userfile import FilePath

KEEP = "Keep the old policy: results that were fetched under it are verified with it."


def load_policy(path: FilePath) -> Policy:
    """The policy at ``path``, JSON or YAML. Raises InputError."""
    path = Path(path)
    try:
        data = userfile.read(path, MAX_SIZE)
    except OSError as error:
        raise userfile.unreadable(f"The policy {path}", error, missing="`policy` writes one.") from error
    try:
        return Policy.parse(data)
    except InputError as error:
        raise document_type.mistaken(path, data, document_type.POLICY, error) from error


def save_policy(policy: Policy, path: FilePath) -> None:
    """Write a policy to a new file.

    Raises InputError when the file exists, because its values may have been confirmed, or cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        exclusive.write(path, policy.encode() + b"\n")
    except FileExistsError as error:
        raise policy_exists(path) from error
    except OSError as error:
        raise userfile.unwritable(path, error) from error


def policy_exists(path: Path) -> InputError:
    """The error for a policy that would be overwritten."""
    return InputError(f"{path} exists; a policy is not overwritten.", hint=f"Name another file with --output. {KEEP}")
