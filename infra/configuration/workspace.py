"""The configuration of a workspace: ``cloister:workspace`` of a stack, as frozen values.

All errors are reported together, each with the path of its key, before any resource is declared.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cloister.errors import InputError
from cloister.protocol.invitation import Invitation
from infra import paths
from infra.configuration import addresses, cloud, members, reserved, scratch, sizes
from infra.configuration.cloud import AzureConfiguration, BudgetConfiguration, GcpConfiguration
from infra.configuration.members import MemberConfiguration
from infra.configuration.validation import ConfigurationError, Validator

LOCAL = "local"
BACKENDS = (LOCAL, *cloud.BACKENDS)

_LEAST_MEMORY = 1 << 30
_MOST_VCPUS = 64
# More than any machine type has; sizes.py lists the types.
_MOST_CLOUD_VCPUS = 1024
_PORTS = range(1024, 65536)
# The addresses .10 to .209 of the workspace's subnet.
_MOST_CLOUD_CVMS = 200
_ZONES = {
    "azure": (re.compile(r"[1-3]\Z"), "'1', '2' or '3' in quotes"),
    "gcp": (re.compile(r"[a-z]\Z"), "the last letter of the zone's name, for example b"),
}
# QEMU's -cpu: a model, then features to add or remove. QEMU itself decides which of them it has.
_CPU = re.compile(r"(?=.{1,500}\Z)[A-Za-z0-9][A-Za-z0-9._-]*(?:,[+-][A-Za-z0-9][A-Za-z0-9._-]*)*\Z")
_TAKEN = (paths.ENVIRONMENT, paths.PASSPHRASE)


@dataclass(frozen=True)
class CvmConfiguration:
    """One CVM of a workspace."""

    name: str
    tee: str
    """``none`` (local), ``sev-snp`` or ``tdx``."""
    vcpus: int
    memory: int
    """Bytes."""
    port: int | None = None
    """Local backend only; None means a port derived from the name."""
    cpu: str = ""
    """QEMU's CPU model and features; local backend only, "" means the default of the accelerator."""
    zone: str = ""
    """Clouds only; "" means that the cloud chooses (Azure)."""
    size: str = ""
    """The machine type chosen for it; clouds only."""
    scratch: int = 0
    """Bytes of the scratch disk; 0: none."""


@dataclass(frozen=True)
class WorkspaceConfiguration:
    """A whole workspace. The fields from ``ingress`` on apply to clouds only."""

    name: str
    backend: str
    image: str
    """A flavor under ``out/image``, or the path of an image manifest relative to the checkout."""
    members: tuple[MemberConfiguration, ...]
    cvms: tuple[CvmConfiguration, ...]
    force: bool
    """Replace or delete a CVM even if its run is unfinished."""
    ingress: tuple[str, ...] = ()
    """The IPv4 networks that may reach the agents."""
    endpoint: str = cloud.PRIVATE
    """``private`` or ``public``: whether CVMs have public addresses."""
    public: bool = False
    """``ingress`` may be wider than a ``/8``."""
    labels: Mapping[str, str] = field(default_factory=dict)
    budget: BudgetConfiguration | None = None
    """None: no budget."""
    azure: AzureConfiguration | None = None
    """Set if and only if the backend is ``azure``."""
    gcp: GcpConfiguration | None = None
    """Set if and only if the backend is ``gcp``."""
    invitations: tuple[Invitation, ...] = ()
    """Those that were not answered yet. They change nothing that runs."""

    def owners(self) -> tuple[MemberConfiguration, ...]:
        return tuple(member for member in self.members if "owner" in member.roles)


def parse(name: str, value: Any, *, force: bool = False) -> WorkspaceConfiguration:
    """The workspace that stack ``name`` configures with ``value``. ``force`` overrides the value's own.

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
        members=members.parse(validator, top.get("members")),
        invitations=members.parse_invitations(validator, name, top.get("invitations")),
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
        validator.add("workspace.endpoint", "is public, but no network in workspace.ingress comes over the internet.")
    if validator.problems:
        unowned = not made.owners() and any(one.startswith("workspace.members: ") for one in validator.problems)
        hint = f"Add an owner: invoke member.add NAME --key FILE --roles owner --stack {name}" if unowned else ""
        raise ConfigurationError("workspace", name, tuple(validator.problems), hint=hint)
    return made


_REQUIRED = ("backend", "image", "members", "cvms")
_OPTIONAL = ("ingress", *cloud.KEYS, "force", "invitations")


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
        raise InputError(f"{name!r} is reserved for a file of Cloister; choose another name.")


def _cvms(validator: Validator, value: Any, backend: str) -> tuple[CvmConfiguration, ...]:
    optional = ("tee", "vcpus", "memory", "scratch", "port", "cpu", "zone")
    cvms = []
    in_cloud = backend in cloud.BACKENDS
    most = _MOST_CLOUD_VCPUS if in_cloud else _MOST_VCPUS
    for path, entry in validator.entries(value, "workspace.cvms"):
        fields = validator.mapping(entry, path, required=("name",), optional=optional)
        name = validator.name(fields, f"{path}.name")
        if name == "authority":
            validator.add(
                f"{path}.name", "'authority' is reserved for the workspace's own folder; choose another name."
            )
        vcpus = validator.integer(fields, "vcpus", path, default=2, allowed=range(1, most + 1))
        memory = 4 << 30
        if fields.get("memory") is not None:
            memory = (
                validator.attempt(f"{path}.memory", lambda size=fields["memory"]: scratch.parse_size(size)) or memory
            )
        if memory < _LEAST_MEMORY:
            validator.add(f"{path}.memory", "must be at least 1GiB, which the guest needs.")
        cvm = CvmConfiguration(
            name, "", vcpus, memory, scratch=scratch.parse(validator, path, fields.get("scratch"), backend)
        )
        if in_cloud:
            cvms.append(_cloud_cvm(validator, path, fields, cvm, backend))
        else:
            cvms.append(_local_cvm(validator, path, fields, cvm))
    validator.unique([cvm.name for cvm in cvms], "workspace.cvms", "name")
    validator.unique([str(cvm.port) for cvm in cvms if cvm.port], "workspace.cvms", "port")
    if in_cloud and len(cvms) > _MOST_CLOUD_CVMS:
        validator.add(
            "workspace.cvms", f"{len(cvms)} entries; the subnet of a workspace has addresses for {_MOST_CLOUD_CVMS}."
        )
    return tuple(cvms)


def _local_cvm(validator: Validator, path: str, fields: Mapping[str, Any], cvm: CvmConfiguration) -> CvmConfiguration:
    tee = fields.get("tee") or "none"
    if tee != "none":
        validator.add(f"{path}.tee", f"must be none on the local backend, not {tee!r}.")
    if "zone" in fields:
        validator.add(f"{path}.zone", "the local backend has no zones. Omit it.")
    port = None
    if fields.get("port") is not None:
        port = validator.integer(fields, "port", path, default=0, allowed=_PORTS)
    cpu = validator.matching(fields, "cpu", path, _CPU, "a CPU model of QEMU and its features, like max,-avx2")
    return replace(cvm, tee="none", port=port, cpu=cpu)


def _cloud_cvm(
    validator: Validator, path: str, fields: Mapping[str, Any], cvm: CvmConfiguration, backend: str
) -> CvmConfiguration:
    if fields.get("tee") is None:
        validator.add(f"{path}.tee", "is missing.")
    tee = validator.choice(fields, "tee", f"{path}.tee", sizes.TEES)
    if "port" in fields:
        validator.add(f"{path}.port", "an agent in a cloud always listens on 6110. Omit it.")
    if "cpu" in fields:
        validator.add(f"{path}.cpu", "in a cloud, the CPU is that of the machine type. Omit it.")
    if backend == "gcp" and fields.get("zone") is None:
        validator.add(f"{path}.zone", "is missing.")
    # Google Cloud, "Naming resources" (RFC 1035): an instance's name starts with a letter.
    if backend == "gcp" and cvm.name[:1].isdigit():
        validator.add(
            f"{path}.name", f"{cvm.name!r} starts with a digit; names of GCP instances must start with a letter."
        )
    if backend == "azure" and reserved.is_reserved(cvm.name):
        validator.add(f"{path}.name", f"{cvm.name!r} is reserved by Azure; choose another name.")
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
            validator.add(f"workspace.{other}", f"the backend is {backend}. Omit it.")


def _refuse_for_local(validator: Validator, top: Mapping[str, Any]) -> None:
    for path, source in validator.entries(top.get("ingress"), "workspace.ingress"):
        network = validator.attempt(path, lambda text=source: cloud.parse_network(text))
        if network is not None and not network.is_loopback:
            validator.add(path, f"{source} cannot reach a local CVM, which listens on 127.0.0.1 only. Omit it.")
    for key in cloud.KEYS:
        if key in top:
            validator.add(
                f"workspace.{key}", _NOT_LOCAL.get(key, "applies to clouds only, and the backend is local. Omit it.")
            )


_NOT_LOCAL = {"budget": "a local workspace costs nothing. Omit it."}
