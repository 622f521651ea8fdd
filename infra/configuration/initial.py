"""The first configuration of a workspace, as ``workspace.new`` writes it: one CVM and no members."""

from collections.abc import Iterator, Mapping
from typing import Any

from cloister.errors import InputError
from infra.configuration import cloud, workspace
from infra.configuration.validation import ConfigurationError

Options = Mapping[str, str | int]
"""The options of the command line; an empty string, and port 0, mean not set."""

_SECTIONS = {
    "azure": ("subscription", "tenant", "location", "registry"),
    "gcp": ("project", "region", "registry"),
}
_CVM_OPTIONS = ("memory", "scratch", "vcpus", "tee", "zone", "port", "cpu")
_OPTIONS = {"image", "cvm", "ingress", "endpoint", *_CVM_OPTIONS, *_SECTIONS["azure"], *_SECTIONS["gcp"]}


def settings(name: str, options: Options) -> dict[str, str | int]:
    """The settings by their paths below ``cloister:workspace``.

    Raises InputError for an invalid backend, and ConfigurationError that names the invalid or missing options; members
    are not checked.
    """
    given = {key: value for key, value in options.items() if value or (value == 0 and key != "port")}
    backend = str(given.get("backend", workspace.LOCAL))
    if backend not in workspace.BACKENDS:
        raise InputError(f"Invalid backend {backend!r}: must be one of {', '.join(workspace.BACKENDS)}.")
    value: dict[str, Any] = {"backend": backend, "image": given.get("image", "")}
    if backend in _SECTIONS:
        value[backend] = {key: _full(key, given[key]) for key in _SECTIONS[backend] if key in given}
    value["cvms"] = [{"name": given.get("cvm", ""), **{key: given[key] for key in _CVM_OPTIONS if key in given}}]
    if "ingress" in given:
        value["ingress"] = [part.strip() for part in str(given["ingress"]).split(",")]
    if "endpoint" in given:
        value["endpoint"] = given["endpoint"]
    problems = [*_foreign(backend, given), *_problems(name, backend, value)]
    if problems:
        raise ConfigurationError("workspace", name, tuple(problems))
    return dict(_flat("", value))


def _foreign(backend: str, given: Options) -> Iterator[str]:
    """A problem for each option of another backend: it must not be ignored silently."""
    for key in sorted({key for keys in _SECTIONS.values() for key in keys} & given.keys()):
        owners = [other for other, keys in _SECTIONS.items() if key in keys]
        if backend not in owners:
            yield f"--{key}: applies to {' and '.join(owners)} only, and the backend is {backend}. Omit it."


def _full(key: str, value: str | int) -> str:
    """Expand the short name of a registry: in a self-managed Pulumi backend, the organization is always this one."""
    return (
        f"organization/{cloud.REGISTRY_PROJECT}/{value}" if key == "registry" and "/" not in str(value) else str(value)
    )


def _problems(name: str, backend: str, value: Mapping[str, Any]) -> Iterator[str]:
    try:
        workspace.parse(name, dict(value))
    except ConfigurationError as error:
        # Members are added later with member.add.
        yield from (_as_option(one, backend) for one in error.problems if not one.startswith("workspace.members:"))


def _as_option(problem: str, backend: str) -> str:
    """The problem with the option in place of the key's path: no file with the key exists yet."""
    path, colon, sentence = problem.partition(":")
    key = path.removeprefix("workspace.").removeprefix(f"{backend}.").removeprefix("cvms[0].").partition("[")[0]
    if path == "workspace.cvms[0].name":
        key = "cvm"
    return f"--{key}{colon}{sentence}" if key in _OPTIONS else problem


def _flat(path: str, value: Any) -> Iterator[tuple[str, str | int]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{path}.{key}" if path else str(key), inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _flat(f"{path}[{number}]", inner)
    else:
        yield path, value
