"""The configuration of a workspace: what ``cloister:workspace`` of a stack says, as frozen values.

Everything that is wrong is found at once, each with the path of its key, before any resource is declared.
"""

import base64
import binascii
import hashlib
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from cloister.errors import InputError
from infra import layout
from infra.problems import Problems

ROLES = ("owner", "algorithm-provider", "dataset-provider", "result-consumer", "auditor")
BACKENDS = ("local", "azure", "gcp")
MEBIBYTE = 1 << 20

_SIZE = re.compile(r"(\d{1,6}) ?(MiB|GiB)\Z")
_UNITS = {"MiB": MEBIBYTE, "GiB": 1 << 30}
_LEAST_MEMORY = 1 << 30
_MOST_VCPUS = 64
_PORTS = range(1024, 65536)
_RSA_BITS = 3072
_CURVES = ("secp256r1", "secp384r1")
_TAKEN = (layout.ENVIRONMENT, layout.PASSPHRASE)


class ConfigurationError(InputError):
    """The configuration of a workspace is wrong; the message lists every problem with the path of its key."""

    def __init__(self, name: str, problems: tuple[str, ...]) -> None:
        one = len(problems) == 1
        lines = "".join(f"\n  {problem}" for problem in problems)
        super().__init__(f"The configuration of workspace {name!r} has {'a problem' if one else 'problems'}:{lines}")
        self.problems = problems


@dataclass(frozen=True)
class Member:
    """``key`` is the DER SubjectPublicKeyInfo of the member's public key."""

    name: str
    key: bytes
    roles: tuple[str, ...]

    def key_digest(self) -> str:
        """SHA-256 of the key, as a boot configuration names owners."""
        return hashlib.sha256(self.key).hexdigest()


@dataclass(frozen=True)
class Cvm:
    """``memory`` in bytes; ``port`` on this machine (local backend), None: any that is free."""

    name: str
    tee: str
    vcpus: int
    memory: int
    port: int | None


@dataclass(frozen=True)
class Workspace:
    """``image`` is a flavor under ``out/image`` or the path of a manifest, relative to the checkout.

    ``force`` lets a CVM with an unfinished run be replaced.
    """

    name: str
    backend: str
    image: str
    members: tuple[Member, ...]
    cvms: tuple[Cvm, ...]
    force: bool

    def owners(self) -> tuple[Member, ...]:
        return tuple(member for member in self.members if "owner" in member.roles)


def parse(name: str, value: Any, *, force: bool = False) -> Workspace:
    """The workspace that stack ``name`` configures with ``value``; ``force`` as if that said so.

    Raises ConfigurationError.
    """
    found = Problems()
    found.name({"name": name}, "stack")
    found.tried("stack", lambda: _refuse_taken(name))
    top = found.mapping(value, "workspace", required=("backend", "image", "members", "cvms"), optional=_TOP_OPTIONAL)
    backend = found.choice(top, "backend", "workspace.backend", BACKENDS)
    if backend in ("azure", "gcp"):
        found.add("workspace.backend", f"{backend} is not in this version of Cloister; 'local' is.")
    image = found.text(top, "image", "workspace.image")
    members = _members(found, top.get("members"))
    cvms = _cvms(found, top.get("cvms"), backend)
    _refuse_for_local(found, top, backend)
    forced = top.get("force", False)
    if not isinstance(forced, bool):
        found.add("workspace.force", f"{forced!r} is neither true nor false.")
    if found.problems:
        raise ConfigurationError(name, tuple(found.problems))
    return Workspace(name, backend, image, members, cvms, force or bool(forced))


_TOP_OPTIONAL = ("ingress", "budget", "force")


def check_name(name: str) -> None:
    """Raises InputError when ``name`` cannot name a member or a CVM."""
    found = Problems()
    found.name({"name": name}, "name")
    if found.problems:
        raise InputError(found.problems[0])


def check_workspace_name(name: str) -> None:
    """Raises InputError when ``name`` cannot name a workspace."""
    check_name(name)
    _refuse_taken(name)


def _refuse_taken(name: str) -> None:
    if name in _TAKEN:
        raise InputError(f"{name!r} is the name of a file of Cloister's own; choose another.")


def parse_key(text: str) -> bytes:
    """The DER SubjectPublicKeyInfo of a public key in PEM, or of that DER in base64. Raises InputError."""
    data = text.strip()
    try:
        if data.startswith("-----"):
            key = load_pem_public_key(data.encode("ascii"))
        else:
            standard = data.translate(str.maketrans("-_", "+/"))
            key = load_der_public_key(base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True))
    except (ValueError, UnsupportedAlgorithm, binascii.Error) as error:
        what = "a private key" if "PRIVATE" in data[:64] else f"{data[:24]!r}..."
        raise InputError(f"{what} is not a public key in PEM or base64.") from error
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _RSA_BITS:
        raise InputError(f"an RSA key of {key.key_size} bits is too short; {_RSA_BITS} is the least.")
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name not in _CURVES:
        raise InputError(f"the curve {key.curve.name} is not used; P-256 and P-384 are.")
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        raise InputError("the key is neither Ed25519 nor ECDSA nor RSA.")
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def parse_size(text: Any) -> int:
    """Bytes of a size like ``4GiB`` or ``512MiB``. Raises InputError."""
    match = _SIZE.match(text) if isinstance(text, str) else None
    if match is None:
        raise InputError(f"{text!r} is not a size; write for example 4GiB or 1536MiB.")
    return int(match[1]) * _UNITS[match[2]]


def _members(found: Problems, value: Any) -> tuple[Member, ...]:
    members = []
    for path, entry in found.entries(value, "workspace.members"):
        fields = found.mapping(entry, path, required=("name", "key", "roles"))
        name = found.name(fields, f"{path}.name")
        key = b""
        if isinstance(fields.get("key"), str):
            key = found.tried(f"{path}.key", lambda text=fields["key"]: parse_key(text)) or b""
        elif "key" in fields:
            found.add(f"{path}.key", "must be the text of a public key (PEM or base64).")
        roles = fields.get("roles", [])
        if not isinstance(roles, list) or not roles:
            found.add(f"{path}.roles", "must be a list of at least one role.")
            roles = []
        for role in roles:
            if role not in ROLES:
                found.add(f"{path}.roles", f"{role!r} is no role; the roles are {', '.join(ROLES)}.")
        members.append(Member(name, key, tuple(sorted({str(role) for role in roles}))))
    found.unique([member.name for member in members], "workspace.members", "name")
    found.unique([member.key.hex() for member in members], "workspace.members", "key")
    if value is not None and not any("owner" in member.roles for member in members):
        found.add("workspace.members", "nobody is owner; at least one member must be.")
    return tuple(members)


def _cvms(found: Problems, value: Any, backend: str) -> tuple[Cvm, ...]:
    cvms = []
    for path, entry in found.entries(value, "workspace.cvms"):
        fields = found.mapping(entry, path, required=("name",), optional=("tee", "vcpus", "memory", "scratch", "port"))
        name = found.name(fields, f"{path}.name")
        if name == "authority":
            found.add(f"{path}.name", "'authority' is the name of the workspace's own folder; choose another.")
        tee = fields.get("tee", "none")
        if backend == "local" and tee != "none":
            found.add(f"{path}.tee", f"{tee!r} cannot be had on this machine; the local backend has 'none' only.")
        vcpus = found.integer(fields, "vcpus", path, default=2, allowed=range(1, _MOST_VCPUS + 1))
        memory = 4 << 30
        if "memory" in fields:
            memory = found.tried(f"{path}.memory", lambda size=fields["memory"]: parse_size(size)) or memory
        if memory < _LEAST_MEMORY:
            found.add(f"{path}.memory", "is less than 1GiB, which the guest needs.")
        if "scratch" in fields:
            found.add(f"{path}.scratch", "scratch disks are not in this version; assets live in the CVM's memory.")
        port = None
        if "port" in fields:
            port = found.integer(fields, "port", path, default=0, allowed=_PORTS)
        cvms.append(Cvm(name, str(tee), vcpus, memory, port))
    found.unique([cvm.name for cvm in cvms], "workspace.cvms", "name")
    found.unique([str(cvm.port) for cvm in cvms if cvm.port], "workspace.cvms", "port")
    return tuple(cvms)


def _refuse_for_local(found: Problems, top: Mapping[str, Any], backend: str) -> None:
    for path, source in found.entries(top.get("ingress"), "workspace.ingress"):
        network = found.tried(path, lambda text=source: _network(text))
        if network is not None and backend == "local" and not network.is_loopback:
            found.add(path, f"{source} cannot reach a local CVM, which listens on 127.0.0.1 only; leave it out.")
    if backend == "local" and "budget" in top:
        found.add("workspace.budget", "a local workspace costs nothing; leave it out.")


def _network(text: Any) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(str(text))
    except ValueError as error:
        raise InputError(f"{text!r} is not a network like 198.51.100.0/24.") from error
