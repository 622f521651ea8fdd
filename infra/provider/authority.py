"""The resource ``AuthorityResource``: the certificate authority of one workspace.

Its private key is only in the workspace's folder: not in the state, not in an output.
"""

import hashlib
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cloister.errors import CloisterError
from cloister.protocol import canonical
from image import disk_space
from infra import paths
from infra.paths import private_folder
from infra.provider import certificates
from infra.provider.errors import ProviderError
from infra.provider.qemu import machine
from infra.provider.resource import CheckResult, CreateContext, Properties, ResourceDiff

FOLDER = "authority"
_STACK = "stack"
"""The file in its folder that names the stack."""


class AuthorityResource:
    """Inputs: ``workspace``, ``stack`` (``project/stack``). Outputs: ``certificate`` (DER, base64url), ``keyDigest``
    (SHA-256 of its SPKI, hex).
    """

    def check(self, olds: Properties, news: Properties) -> CheckResult:
        wrong = [name for name in ("workspace", "stack") if not isinstance(news.get(name), str)]
        return CheckResult(dict(news), tuple((name, "must be a string.") for name in wrong))

    def diff(self, inputs: Properties, state: Properties, news: Properties) -> ResourceDiff:
        if inputs.get("workspace") != news.get("workspace"):
            return ResourceDiff(replaces=("workspace",))
        if not _has_key(state):
            return ResourceDiff(replaces=("certificate",), outputs=("certificate",))
        return ResourceDiff(updates=("stack",) if inputs.get("stack") != news.get("stack") else ())

    def create(self, inputs: Properties, operation: CreateContext) -> tuple[str, dict[str, Any]]:
        """Raises ProviderError when another stack has a workspace with this name on this machine."""
        workspace = inputs["workspace"]
        folder = paths.state() / workspace / FOLDER
        _refuse_taken(folder, inputs["stack"])
        with disk_space.needed(paths.state()):
            for part in (paths.state(), folder.parent, folder):
                private_folder(part)
            (folder / _STACK).write_text(inputs["stack"], encoding="utf-8")
            der = certificates.create_authority(workspace, folder)
        return workspace, dict(inputs) | {
            "certificate": canonical.to_base64(der),
            "keyDigest": hashlib.sha256(_spki(der)).hexdigest(),
        }

    def read(self, state: Properties) -> dict[str, Any] | None:
        return dict(state) if _has_key(state) else None

    def update(self, state: Properties, news: Properties) -> dict[str, Any]:
        (paths.state() / news["workspace"] / FOLDER / _STACK).write_text(news["stack"], encoding="utf-8")
        return dict(state) | dict(news)

    def delete(self, state: Properties) -> None:
        # Also removes what a killed provider left behind: all CVMs of the workspace were deleted before.
        if _has_key(state):
            sweep(state["workspace"])


def _refuse_taken(folder: Path, stack: str) -> None:
    try:
        owner = (folder / _STACK).read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    if owner != stack:
        raise ProviderError(
            f"The workspace {folder.parent.name!r} exists on this machine already, in the stack {owner}, not {stack}.",
            hint=f"Choose another name. If that stack is gone for good, remove {folder.parent} first.",
        )


def sweep(workspace: str) -> None:
    """End and remove everything that is left of a workspace on this machine."""
    folder = paths.state() / workspace
    if folder.is_dir():
        for entry in folder.iterdir():
            machine.stop(entry)
        machine.remove(folder)


def _has_key(properties: Properties) -> bool:
    """Whether the authority's private key exists and matches its certificate."""
    folder = paths.state() / properties["workspace"] / FOLDER
    der = canonical.from_base64(properties["certificate"], what="The authority's certificate")
    try:
        certificates.load_key(folder, der)
    except CloisterError:
        return False
    return True


def _spki(der: bytes) -> bytes:
    key = x509.load_der_x509_certificate(der).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
