"""The configuration of a workspace: what ``cloister:workspace`` of a stack says, as frozen values.

All errors are reported together, each with the path of its key, before any resource is declared.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cloister.errors import InputError
from infra import paths
from infra.configuration import addresses, cloud, public_key, reserved, sizes
from infra.configuration.cloud import AzureConfiguration, BudgetConfiguration, GcpConfiguration
from infra.configuration.validation import ConfigurationError, Validator

ROLES = ("owner", "algorithm-provider", "dataset-provider", "result-consumer", "auditor")
LOCAL = "local"
BACKENDS = (LOCAL, *cloud.BACKENDS)
MEBIBYTE = 1 << 20

_SIZE = re.compile(r"(\d{1,6}) ?(MiB|GiB)\Z")
_UNITS = {"MiB": MEBIBYTE, "GiB": 1 << 30}
_LEAST_MEMORY = 1 << 30
_MOST_VCPUS = 64
# More than any machine has; the table of sizes says what there is.
_MOST_CLOUD_VCPUS = 1024
_PORTS = range(1024, 65536)
# The addresses .10 to .209 of the workspace's subnet.
_MOST_CLOUD_CVMS = 200
_ZONES = {
    "azure": (re.compile(r"[1-3]\Z"), "no zone; it is '1', '2' or '3', in quotes"),
    "gcp": (re.compile(r"[a-z]\Z"), "no zone; it is the last letter of the zone's name, for example b"),
}
_TAKEN = (paths.ENVIRONMENT, paths.PASSPHRASE)


@dataclass(frozen=True)
class MemberConfiguration:
    """``key`` is the DER SubjectPublicKeyInfo of the member's public key."""

    name: str
    key: bytes
    roles: tuple[str, ...]

    def key_digest(self) -> str:
        """SHA-256 of the key, as a boot configuration names owners."""
        return hashlib.sha256(self.key).hexdigest()


@dataclass(frozen=True)
class CvmConfiguration:
    """``memory`` in bytes. ``port`` is for the local backend only (None: one that follows from its name), ``zone`` and
    ``size``, the machine type that was chosen for it, for clouds only (else "").
    """

    name: str
    tee: str
    vcpus: int
    memory: int
    port: int | None = None
    zone: str = ""
    size: str = ""


@dataclass(frozen=True)
class WorkspaceConfiguration:
    """``image`` is a flavor under ``out/image`` or the path of a manifest, relative to the checkout.

    ``force`` lets a CVM with an unfinished run be replaced. What follows is for clouds only: ``ingress`` are the IPv4
    networks that may reach the agents, ``endpoint`` is ``private`` or ``public``, and of ``azure`` and ``gcp`` that one
    is set which the backend is.
    """

    name: str
    backend: str
    image: str
    members: tuple[MemberConfiguration, ...]
    cvms: tuple[CvmConfiguration, ...]
    force: bool
    ingress: tuple[str, ...] = ()
    endpoint: str = cloud.PRIVATE
    public: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    budget: BudgetConfiguration | None = None
    azure: AzureConfiguration | None = None
    gcp: GcpConfiguration | None = None

    def owners(self) -> tuple[MemberConfiguration, ...]:
        return tuple(member for member in self.members if "owner" in member.roles)


def parse(name: str, value: Any, *, force: bool = False) -> WorkspaceConfiguration:
    """The workspace that stack ``name`` configures with ``value``; ``force`` as if that said so.

    Raises ConfigurationError.
    """
    validator = Validator()
    validator.name({"name": name}, "stack")
    validator.attempt("stack", lambda: _refuse_taken(name))
    top = validator.mapping(value, "workspace", required=_REQUIRED, optional=_OPTIONAL)
    backend = validator.choice(top, "backend", "workspace.backend", BACKENDS)
    in_cloud = backend in cloud.BACKENDS
    if in_cloud:
        _require_for_cloud(validator, top, backend)
    public = validator.boolean(top, "public", "workspace.public")
    made = WorkspaceConfiguration(
        name=name,
        backend=backend,
        image=validator.string(top, "image", "workspace.image"),
        members=_members(validator, top.get("members")),
        cvms=_cvms(validator, top.get("cvms"), backend),
        force=validator.boolean(top, "force", "workspace.force") or force,
        ingress=cloud.ingress(validator, top.get("ingress"), public=public) if in_cloud else (),
        endpoint=validator.choice(top, "endpoint", "workspace.endpoint", cloud.ENDPOINTS) or cloud.PRIVATE,
        public=public,
        labels=cloud.labels(validator, top.get("labels")),
        budget=cloud.budget(validator, top.get("budget"), backend) if in_cloud else None,
        azure=cloud.azure(validator, top["azure"]) if backend == "azure" and top.get("azure") is not None else None,
        gcp=cloud.gcp(validator, top["gcp"]) if backend == "gcp" and top.get("gcp") is not None else None,
    )
    if backend == LOCAL:
        _refuse_for_local(validator, top)
    if made.endpoint == cloud.PUBLIC and made.ingress and not addresses.over_the_internet(made.ingress):
        validator.add("workspace.endpoint", "is public, and nobody of workspace.ingress comes over the internet.")
    if validator.problems:
        unowned = not made.owners() and any(one.startswith("workspace.members: ") for one in validator.problems)
        hint = f"Add an owner: invoke member.add NAME --key FILE --roles owner --stack {name}" if unowned else ""
        raise ConfigurationError("workspace", name, tuple(validator.problems), hint=hint)
    return made


_REQUIRED = ("backend", "image", "members", "cvms")
_OPTIONAL = ("ingress", *cloud.KEYS, "force")


def check_name(name: str) -> None:
    """Raises InputError when ``name`` cannot name a member or a CVM."""
    validator = Validator()
    validator.name({"name": name}, "name")
    if validator.problems:
        raise InputError(validator.problems[0])


def check_workspace_name(name: str) -> None:
    """Raises InputError when ``name`` cannot name a workspace."""
    check_name(name)
    _refuse_taken(name)


def _refuse_taken(name: str) -> None:
    if name in _TAKEN:
        raise InputError(f"{name!r} is the name of a file of Cloister's own; choose another.")


def parse_size(text: Any) -> int:
    """Bytes of a size like ``4GiB`` or ``512MiB``. Raises InputError."""
    match = _SIZE.match(text) if isinstance(text, str) else None
    if match is None:
        raise InputError(f"{text!r} is not a size; write for example 4GiB or 1536MiB.")
    return int(match[1]) * _UNITS[match[2]]


def _members(validator: Validator, value: Any) -> tuple[MemberConfiguration, ...]:
    members = []
    for path, entry in validator.entries(value, "workspace.members"):
        fields = validator.mapping(entry, path, required=("name", "key", "roles"))
        name = validator.name(fields, f"{path}.name")
        key = b""
        if isinstance(fields.get("key"), str):
            key = validator.attempt(f"{path}.key", lambda text=fields["key"]: public_key.parse(text)) or b""
        elif fields.get("key") is not None:
            validator.add(f"{path}.key", "must be the text of a public key (PEM or base64).")
        roles = fields.get("roles") or []
        if not isinstance(roles, list) or not roles:
            validator.add(f"{path}.roles", "must be a list of at least one role.")
            roles = []
        for role in roles:
            if role not in ROLES:
                validator.add(f"{path}.roles", f"{role!r} is no role; the roles are {', '.join(ROLES)}.")
        members.append(MemberConfiguration(name, key, tuple(sorted({str(role) for role in roles}))))
    validator.unique([member.name for member in members], "workspace.members", "name")
    validator.unique([member.key.hex() for member in members], "workspace.members", "key")
    if value is not None and not any("owner" in member.roles for member in members):
        validator.add("workspace.members", "nobody is owner; at least one member must be.")
    return tuple(members)


def _cvms(validator: Validator, value: Any, backend: str) -> tuple[CvmConfiguration, ...]:
    optional = ("tee", "vcpus", "memory", "scratch", "port", "zone")
    cvms = []
    in_cloud = backend in cloud.BACKENDS
    most = _MOST_CLOUD_VCPUS if in_cloud else _MOST_VCPUS
    for path, entry in validator.entries(value, "workspace.cvms"):
        fields = validator.mapping(entry, path, required=("name",), optional=optional)
        name = validator.name(fields, f"{path}.name")
        if name == "authority":
            validator.add(f"{path}.name", "'authority' is the name of the workspace's own folder; choose another.")
        vcpus = validator.integer(fields, "vcpus", path, default=2, allowed=range(1, most + 1))
        memory = 4 << 30
        if fields.get("memory") is not None:
            memory = validator.attempt(f"{path}.memory", lambda size=fields["memory"]: parse_size(size)) or memory
        if memory < _LEAST_MEMORY:
            validator.add(f"{path}.memory", "is less than 1GiB, which the guest needs.")
        if "scratch" in fields:
            validator.add(f"{path}.scratch", "scratch disks are not in this version; assets live in the CVM's memory.")
        if in_cloud:
            cvms.append(_cloud_cvm(validator, path, fields, CvmConfiguration(name, "", vcpus, memory), backend))
        else:
            cvms.append(_local_cvm(validator, path, fields, CvmConfiguration(name, "", vcpus, memory)))
    validator.unique([cvm.name for cvm in cvms], "workspace.cvms", "name")
    validator.unique([str(cvm.port) for cvm in cvms if cvm.port], "workspace.cvms", "port")
    if in_cloud and len(cvms) > _MOST_CLOUD_CVMS:
        validator.add("workspace.cvms", f"are {len(cvms)}; the subnet of a workspace has room for {_MOST_CLOUD_CVMS}.")
    return tuple(cvms)


def _local_cvm(validator: Validator, path: str, fields: Mapping[str, Any], cvm: CvmConfiguration) -> CvmConfiguration:
    tee = fields.get("tee") or "none"
    if tee != "none":
        validator.add(f"{path}.tee", f"{tee!r} cannot be had on this machine; the local backend has 'none' only.")
    if "zone" in fields:
        validator.add(f"{path}.zone", "this machine has no zones; leave it out.")
    port = None
    if fields.get("port") is not None:
        port = validator.integer(fields, "port", path, default=0, allowed=_PORTS)
    return replace(cvm, tee="none", port=port)


def _cloud_cvm(
    validator: Validator, path: str, fields: Mapping[str, Any], cvm: CvmConfiguration, backend: str
) -> CvmConfiguration:
    if fields.get("tee") is None:
        validator.add(f"{path}.tee", "is missing.")
    tee = validator.choice(fields, "tee", f"{path}.tee", sizes.TEES)
    if "port" in fields:
        validator.add(f"{path}.port", "an agent in a cloud listens on 6110; leave it out.")
    if backend == "gcp" and fields.get("zone") is None:
        validator.add(f"{path}.zone", "is missing.")
    # Google Cloud, "Naming resources" (RFC 1035): an instance's name begins with a letter.
    if backend == "gcp" and cvm.name[:1].isdigit():
        validator.add(f"{path}.name", f"{cvm.name!r} begins with a digit, which no instance of Google's may.")
    if backend == "azure" and reserved.is_reserved(cvm.name):
        validator.add(f"{path}.name", f"{cvm.name!r} is a name that Azure keeps for itself.")
    size = ""
    if tee in sizes.TEES:
        size = validator.attempt(path, lambda: sizes.choose(backend, tee, cvm.vcpus, cvm.memory)) or ""
    return replace(cvm, tee=tee, size=size, zone=validator.matching(fields, "zone", path, *_ZONES[backend]))


def _require_for_cloud(validator: Validator, top: Mapping[str, Any], backend: str) -> None:
    for key in (backend, "ingress"):
        if top.get(key) is None:
            validator.add(f"workspace.{key}", "is missing.")
    for other in cloud.BACKENDS:
        if other != backend and other in top:
            validator.add(f"workspace.{other}", f"the backend is {backend}; leave it out.")


def _refuse_for_local(validator: Validator, top: Mapping[str, Any]) -> None:
    for path, source in validator.entries(top.get("ingress"), "workspace.ingress"):
        network = validator.attempt(path, lambda text=source: cloud.parse_network(text))
        if network is not None and not network.is_loopback:
            validator.add(path, f"{source} cannot reach a local CVM, which listens on 127.0.0.1 only; leave it out.")
    for key in cloud.KEYS:
        if key in top:
            validator.add(
                f"workspace.{key}", _NOT_LOCAL.get(key, "is for a cloud, and the backend is local; leave it out.")
            )


_NOT_LOCAL = {"budget": "a local workspace costs nothing; leave it out."}
