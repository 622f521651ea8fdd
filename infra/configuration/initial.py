"""The first configuration of a workspace, as ``workspace.new`` writes it: one CVM, and nobody in it yet."""

from collections.abc import Iterator, Mapping
from typing import Any

from cloister.errors import InputError
from infra.configuration import cloud, workspace
from infra.configuration.validation import ConfigurationError

Options = Mapping[str, str | int]
"""What was said on the command line; an empty text, and the port 0, were not said."""

_SECTIONS = {
    "azure": ("subscription", "tenant", "location", "registry"),
    "gcp": ("project", "region", "registry"),
}
_OF_THE_CVM = ("memory", "vcpus", "tee", "zone", "port")
_OPTIONS = {"image", "cvm", "ingress", "endpoint", *_OF_THE_CVM, *_SECTIONS["azure"], *_SECTIONS["gcp"]}


def settings(name: str, options: Options) -> dict[str, str | int]:
    """Settings by their paths.

    Raises InputError for a backend that is none, and ConfigurationError with everything that is wrong or missing but
    the members, by the options that say it.
    """
    said = {key: value for key, value in options.items() if value or (value == 0 and key != "port")}
    backend = str(said.get("backend", workspace.LOCAL))
    if backend not in workspace.BACKENDS:
        raise InputError(f"{backend!r} is no backend; the backends are {', '.join(workspace.BACKENDS)}.")
    value: dict[str, Any] = {"backend": backend, "image": said.get("image", "")}
    if backend in _SECTIONS:
        value[backend] = {key: _full(key, said[key]) for key in _SECTIONS[backend] if key in said}
    value["cvms"] = [{"name": said.get("cvm", ""), **{key: said[key] for key in _OF_THE_CVM if key in said}}]
    if "ingress" in said:
        value["ingress"] = [part.strip() for part in str(said["ingress"]).split(",")]
    if "endpoint" in said:
        value["endpoint"] = said["endpoint"]
    problems = [*_foreign(backend, said), *_problems(name, backend, value)]
    if problems:
        raise ConfigurationError("workspace", name, tuple(problems))
    return dict(_flat("", value))


def _foreign(backend: str, said: Options) -> Iterator[str]:
    """What belongs to another backend is said to be wrong, and not left out."""
    for key in sorted({key for keys in _SECTIONS.values() for key in keys} & said.keys()):
        owners = [other for other, keys in _SECTIONS.items() if key in keys]
        if backend not in owners:
            yield f"--{key}: belongs to {' and '.join(owners)}, and the backend is {backend}; leave it out."


def _full(key: str, value: str | int) -> str:
    """A registry may be called by its name alone: with a backend of one's own, every organization is this one."""
    return (
        f"organization/{cloud.REGISTRY_PROJECT}/{value}" if key == "registry" and "/" not in str(value) else str(value)
    )


def _problems(name: str, backend: str, value: Mapping[str, Any]) -> Iterator[str]:
    try:
        workspace.parse(name, dict(value))
    except ConfigurationError as error:
        # The members come with member.add.
        yield from (_as_option(one, backend) for one in error.problems if not one.startswith("workspace.members:"))


def _as_option(problem: str, backend: str) -> str:
    """The problem with the option of its key in the key's place: there is no file yet that has the key."""
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
