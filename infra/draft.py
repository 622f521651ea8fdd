"""The first configuration of a workspace, as ``workspace.new`` writes it: one CVM, and nobody in it yet."""

from collections.abc import Iterator, Mapping
from typing import Any

from infra import cloud, workspace
from infra.problems import ConfigurationError

Options = Mapping[str, str | int]
"""What was said on the command line; an empty value was not said."""

_SECTIONS = {
    "azure": ("subscription", "tenant", "location", "registry"),
    "gcp": ("project", "region", "registry"),
}
_OF_THE_CVM = ("memory", "vcpus", "tee", "zone", "port")


def write(name: str, options: Options) -> dict[str, str | int]:
    """Settings by their paths. Raises ConfigurationError with everything that is wrong or missing but the members."""
    said = {key: value for key, value in options.items() if value}
    backend = str(said.get("backend", workspace.LOCAL))
    value: dict[str, Any] = {"backend": backend, "image": said.get("image", "")}
    own = {key: _full(key, said[key]) for key in _SECTIONS.get(backend, ()) if key in said}
    if own:
        value[backend] = own
    foreign = {key: said[key] for keys in _SECTIONS.values() for key in keys if key in said and key not in own}
    # What belongs to another backend is said to be wrong, and not left out.
    value |= foreign
    value["cvms"] = [{"name": said.get("cvm", ""), **{key: said[key] for key in _OF_THE_CVM if key in said}}]
    if "ingress" in said:
        value["ingress"] = [part.strip() for part in str(said["ingress"]).split(",")]
    if "endpoint" in said:
        value["endpoint"] = said["endpoint"]
    _check(name, value)
    return dict(_flat("", value))


def _full(key: str, value: str | int) -> str:
    """A registry may be called by its name alone: with a backend of one's own, every organization is this one."""
    return (
        f"organization/{cloud.REGISTRY_PROJECT}/{value}" if key == "registry" and "/" not in str(value) else str(value)
    )


def _check(name: str, value: Mapping[str, Any]) -> None:
    try:
        workspace.parse(name, dict(value))
    except ConfigurationError as error:
        # They come with member.add.
        left = tuple(problem for problem in error.problems if not problem.startswith("workspace.members:"))
        if left:
            raise ConfigurationError("workspace", name, left) from error


def _flat(path: str, value: Any) -> Iterator[tuple[str, str | int]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{path}.{key}" if path else str(key), inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _flat(f"{path}[{number}]", inner)
    else:
        yield path, value
