"""Where what runs differs from what is declared: image, boot configuration and size of the CVMs, and in a cloud also
whatever else the workspace consists of.

The first three follow from the configuration and the state. For the rest the clouds are asked, by way of a preview that
refreshes first and changes nothing: somebody may have opened a network by hand. At Google that takes a rule or a route
of one's own, of which a preview knows nothing.
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

_OF_MACHINES = ("image", "boot configuration", "size", "port")
_LIFE = "machine"
_THERE, _MISSING = "there and is not declared", "declared and is not there"
# A name, an index, or a name with a character that would end one (pulumi/sdk, resource.PropertyPath).
_PATH = re.compile(r'\["([^"]*)"\]|\[(\d+)\]|([^.\[\]]+)')
_SHOWN = 12
_MOST_TEXT = 160
_DIVERGES = ("create", "update", "replace", "delete", "import")
_CREATED, _DELETED = "create", "delete"
_STACK = "pulumi:pulumi:Stack"


@dataclass(frozen=True)
class Difference:
    """``of`` is the CVM, or else the resource; "" for ``runs`` or ``declared`` says that there is none. An `up` puts it
    right, unless it is not ``ours``.
    """

    of: str
    what: str
    runs: str
    declared: str
    ours: bool = True

    def sentence(self) -> str:
        """For people: "trainer: image 1a2b runs, 3c4d is declared."."""
        runs, declared = _short(self.runs), _short(self.declared)
        if self.of in (self.runs, self.declared):
            return f"{self.of}: the {self.what} is {_THERE if self.runs else _MISSING}."
        if self.what == _LIFE:
            return f"{self.of}: the machine is {runs}."
        if not self.runs:
            return f"{self.of}: {self.what} {declared} is {_MISSING}."
        if not self.declared:
            return f"{self.of}: {self.what} {runs} is {_THERE}."
        so = "runs" if self.what in _OF_MACHINES else "is there"
        return f"{self.of}: {self.what} {runs} {so}, {declared} is declared."


def found(name: str, machines: Sequence[DeployedCvm]) -> tuple[list[Difference], str]:
    """The differences of the workspace ``name``, whose state holds ``machines``; and, where that is not all of them, a
    sentence that says why: the configuration is wrong, the image is not here, or a cloud could not be asked.
    """
    try:
        # As if forced: a comparison replaces nothing, and what it finds must not depend on who computes.
        configuration = parse(name, workspaces.PROJECT.configuration(name), force=True)
        differences = compare(configuration, image.find(configuration.image).digest, machines)
    except CloisterError as error:
        return [], str(error)
    if configuration.backend == LOCAL:
        return differences, ""
    told = {difference.of for difference in differences}
    try:
        differences += [one for one in asked(name) if one.of not in told]
        if configuration.gcp is not None:
            strays = unmanaged.found(workspaces.PROJECT.resources(name), unmanaged.asking(configuration.gcp.project))
            differences += [Difference(one.name, one.type, one.name, "", ours=False) for one in strays]
    except CloisterError as error:
        return differences, str(error)
    return differences, ""


def compare(configuration: WorkspaceConfiguration, digest: str, machines: Sequence[DeployedCvm]) -> list[Difference]:
    """The machines against the configuration; ``digest`` is that of the declared image's manifest."""
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
        if cvm.port is not None:
            pairs.append(("port", machine.endpoint.rpartition(":")[2], str(cvm.port)))
        if machine.ended:
            pairs.append((_LIFE, "stopped", "running"))
        differences += [
            Difference(cvm.name, what, runs, declared) for what, runs, declared in pairs if runs != declared
        ]
    return differences + [Difference(name, "CVM", name, "") for name in running]


def asked(name: str) -> list[Difference]:
    """What a preview of the workspace would change. Raises CloisterError when it fails."""
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
    """The differences that one step of a preview (``pulumi preview --json``) would put right."""
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
    """What lies at a path like ``securityRules[0].access`` or ``tags["a.b"]``; None when nothing does."""
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
    """Digests by their beginning, as everywhere; a long value by its."""
    if len(text) == 64 and not text.strip("0123456789abcdef"):
        return text[:16]
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}..."
