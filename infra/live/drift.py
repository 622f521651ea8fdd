"""Compares a deployed workspace with its configuration: image, boot configuration and size of the CVMs, and in a cloud
all other resources.

Configuration and state suffice for the CVMs. For the rest the clouds are queried, with a preview that refreshes first
and changes nothing: someone may have opened a network by hand. In Google Cloud a rule or route added by hand is a
separate resource that a preview does not see; see ``unmanaged``.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cloister.errors import CloisterError
from infra.backends.descriptor import boot_configurations
from infra.configuration import image
from infra.configuration.workspace import LOCAL, WorkspaceConfiguration, parse
from infra.live import unmanaged, workspaces
from infra.live.cvms import DeployedCvm, local_size
from infra.resources.urn import Urn

_OF_MACHINES = ("image", "boot configuration", "size", "cpu", "port")
_MACHINE = "machine"
_DEFAULT = "the default"
_THERE, _MISSING = "deployed but not declared", "declared but not deployed"
# A quoted name, an index or a plain name (pulumi/sdk, resource.PropertyPath).
_PATH = re.compile(r'\["([^"]*)"\]|\[(\d+)\]|([^.\[\]]+)')
_SHOWN = 12
_MOST_TEXT = 160
_DIVERGES = ("create", "update", "replace", "delete", "import")
_CREATED, _DELETED = "create", "delete"
_STACK = "pulumi:pulumi:Stack"


@dataclass(frozen=True)
class Difference:
    """One difference between a deployed workspace and its configuration."""

    of: str
    """The CVM or the resource."""
    what: str
    """The property that differs, or the type of a missing or extra resource."""
    runs: str
    """The actual value; "" if there is no such resource or property."""
    declared: str
    """The configured value; "" if it is not configured."""
    ours: bool = True
    """Whether ``workspace.up`` corrects it."""

    def sentence(self) -> str:
        """A sentence such as "trainer: image 1a2b runs, 3c4d is declared."."""
        runs, declared = _short(self.runs), _short(self.declared)
        if self.of in (self.runs, self.declared):
            return f"{self.of}: the {self.what} is {_THERE if self.runs else _MISSING}."
        if self.what == _MACHINE:
            return f"{self.of}: the machine is {runs}."
        if not self.runs:
            return f"{self.of}: {self.what} {declared} is {_MISSING}."
        if not self.declared:
            return f"{self.of}: {self.what} {runs} is {_THERE}."
        so = "runs" if self.what in _OF_MACHINES else "exists"
        return f"{self.of}: {self.what} {runs} {so}, {declared} is declared."


def found(name: str, machines: Sequence[DeployedCvm]) -> tuple[list[Difference], str]:
    """The differences of the workspace ``name``, whose state holds ``machines``; and the reason if they are incomplete:
    the configuration is invalid, the image is missing, or a cloud could not be queried.
    """
    try:
        # Forced: a comparison replaces nothing, and its result must not depend on unfinished runs.
        configuration = parse(name, workspaces.PROJECT.configuration(name), force=True)
        differences = compare(configuration, image.find(configuration.image).deployed, machines)
    except CloisterError as error:
        return [], str(error)
    if configuration.backend == LOCAL:
        return differences, ""
    compared = {difference.of for difference in differences}
    try:
        differences += [one for one in preview(name) if one.of not in compared]
        if configuration.gcp is not None:
            extra = unmanaged.found(workspaces.PROJECT.resources(name), unmanaged.asking(configuration.gcp.project))
            differences += [Difference(one.name, one.type, one.name, "", ours=False) for one in extra]
    except CloisterError as error:
        return differences, str(error)
    return differences, ""


def compare(configuration: WorkspaceConfiguration, digest: str, machines: Sequence[DeployedCvm]) -> list[Difference]:
    """Compare the CVMs with the configuration. ``digest`` is that of the configured image's manifest."""
    running = {machine.name: machine for machine in machines}
    differences = []
    for cvm, boot in zip(configuration.cvms, boot_configurations(configuration), strict=True):
        machine = running.pop(cvm.name, None)
        if machine is None:
            differences.append(Difference(cvm.name, "CVM", "", cvm.name))
            continue
        pairs = [
            ("image", machine.image, digest),
            ("boot configuration", machine.boot_configuration, boot.digest().hex()),
            ("size", machine.size, cvm.size or local_size(cvm.vcpus, cvm.memory)),
        ]
        if machine.cpu != cvm.cpu:
            pairs.append(("cpu", machine.cpu or _DEFAULT, cvm.cpu or _DEFAULT))
        if cvm.port is not None:
            pairs.append(("port", machine.endpoint.rpartition(":")[2], str(cvm.port)))
        if machine.ended:
            pairs.append((_MACHINE, "stopped", "running"))
        differences += [
            Difference(cvm.name, what, runs, declared) for what, runs, declared in pairs if runs != declared
        ]
    return differences + [Difference(name, "CVM", name, "") for name in running]


def preview(name: str) -> list[Difference]:
    """The changes that a preview of the workspace lists. Raises CloisterError when it fails."""
    value = workspaces.PROJECT.json(
        "preview",
        "--refresh",
        "--json",
        "--stack",
        name,
        also={"CLOISTER_FORCE": "1", "PULUMI_SKIP_CONFIRMATIONS": "1"},
    )
    return [difference for step in value.get("steps") or () for difference in of_step(step)]


def of_step(step: Mapping[str, Any]) -> Iterator[Difference]:
    """The differences that one step of a preview (``pulumi preview --json``) would correct."""
    operation = str(step.get("op"))
    type_, of = Urn.parse(str(step.get("urn"))).key
    if operation not in _DIVERGES or type_ == _STACK or type_.startswith("pulumi:providers:"):
        return
    what = type_.rpartition(":")[2]
    if operation == _CREATED:
        yield Difference(of, what, "", of)
        return
    if operation == _DELETED:
        yield Difference(of, what, of, "")
        return
    old, new = ((step.get(state) or {}).get("inputs") or {} for state in ("oldState", "newState"))
    ran = (step.get("oldState") or {}).get("outputs") or {}
    paths = list(step.get("detailedDiff") or {}) or list(step.get("diffReasons") or ())
    for path in paths[:_SHOWN]:
        runs = value_at(ran, path)
        yield Difference(
            of, f"{what} {path}", _text(runs if runs is not None else value_at(old, path)), _text(value_at(new, path))
        )


def value_at(properties: Any, path: str) -> Any:
    """The value at a path like ``securityRules[0].access`` or ``tags["a.b"]``; None if it does not exist."""
    for part in ("".join(found) for found in _PATH.findall(path)):
        if isinstance(properties, Mapping):
            properties = properties.get(part)
        elif isinstance(properties, list) and part.isdigit() and int(part) < len(properties):
            properties = properties[int(part)]
        else:
            return None
    return properties


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _short(text: str) -> str:
    """Digests shortened to 16 digits, other long values to their beginning."""
    if len(text) == 64 and not text.strip("0123456789abcdef"):
        return text[:16]
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}..."
