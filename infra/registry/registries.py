"""The registries of this checkout: the stacks of the project ``infra/registry/``."""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cloister.errors import InputError
from image.publish.naming import TAR_GZ, VHD
from image.secureboot.keys import Certificates
from infra import paths
from infra.configuration import cloud, image
from infra.configuration.validation import ConfigurationError
from infra.pulumi_cli.project import UNASKED, Project
from infra.registry import configuration

PROJECT = Project(paths.CHECKOUT / "infra" / "registry", configuration.KEY, "registry")

DISKS = {"azure": ("disk.vhd", VHD), "gcp": ("disk.tar.gz", TAR_GZ)}
"""By backend: the output of an image build that is published, and the extension of its name there."""

_PLACES = {"azure": ("subscription", "tenant", "location"), "gcp": ("project", "location")}
"""By backend: the options of `registry.new`, which are also keys of the configuration."""

_LEAST_PREFIX = 8


@dataclass(frozen=True)
class RegistryImage:
    """An image of a registry. ``identifier`` is the cloud's; "" before ``registry.up``."""

    flavor: str
    digest: str
    identifier: str


def create(name: str, backend: str, place: Mapping[str, str]) -> None:
    """Create and select a registry. Raises InputError that names the invalid options; then nothing was created."""
    if backend not in cloud.BACKENDS:
        raise InputError(f"Invalid backend {backend!r}: a registry's backend must be {' or '.join(cloud.BACKENDS)}.")
    if problems := (*_foreign(backend, place), *_problems(name, backend, place)):
        raise ConfigurationError("registry", name, problems)
    PROJECT.create(name)
    PROJECT.configure(name, {"backend": backend} | {f"{backend}.{key}": value for key, value in place.items()})
    PROJECT.use_declared_providers_only(name)


def _foreign(backend: str, place: Mapping[str, str]) -> Iterator[str]:
    for other, keys in _PLACES.items():
        for key in keys:
            if key in place and key not in _PLACES[backend]:
                yield f"--{key}: applies to {other} only, and the backend is {backend}. Omit it."


def _problems(name: str, backend: str, place: Mapping[str, str]) -> Iterator[str]:
    own = {key: value for key, value in place.items() if key in _PLACES[backend]}
    try:
        configuration.parse(name, {"backend": backend, backend: own})
    except ConfigurationError as error:
        # The user has typed options; no file with these keys exists yet.
        for problem in error.problems:
            path, colon, sentence = problem.partition(":")
            option = f"--{path.removeprefix(f'registry.{backend}.')}" if path != "stack" else "name"
            yield f"{option}{colon}{sentence}"


def read(name: str) -> configuration.RegistryConfiguration:
    """The configuration of a registry. Raises ConfigurationError."""
    return configuration.parse(name, PROJECT.configuration(name))


def add(name: str, wanted: str) -> configuration.PublishedImage:
    """Write the image ``wanted`` (a flavor, or the path of a manifest) into the configuration.

    The keys of a signed one are written, too. Raises InputError.
    """
    registry, found = read(name), image.find(wanted)
    output, _ = DISKS[registry.backend]
    flavor = found.manifest.flavor
    if output not in found.outputs:
        raise InputError(
            f"The image {wanted!r} has no {output}, which the backend {registry.backend} needs.",
            hint=f"Build the image again: invoke image.build --flavor {flavor}",
        )
    digests = [one.digest for one in registry.images]
    if found.deployed in digests:
        raise InputError(
            f"The registry {name!r} already has the image {found.deployed}.", hint="There is nothing to add."
        )
    keys = _certificates(found.keys) if found.keys is not None else {}
    path = f"images[{len(digests)}]"
    PROJECT.configure(
        name,
        {f"{path}.flavor": flavor, f"{path}.digest": found.deployed}
        | {f"{path}.secure_boot.{key}": text for key, text in keys.items()},
    )
    # An entry that cannot be read back is removed again.
    try:
        return read(name).images[-1]
    except InputError:
        PROJECT.unset(name, path)
        raise


def remove(name: str, wanted: str) -> configuration.PublishedImage:
    """Remove the image of flavor or digest ``wanted``; the digest's first 8 digits suffice. Raises InputError."""
    images = read(name).images
    exact = [one for one in images if one.digest == wanted or one.flavor == wanted]
    meant = exact or [one for one in images if len(wanted) >= _LEAST_PREFIX and one.digest.startswith(wanted)]
    if len(meant) != 1:
        said = "has no image" if not meant else f"has {len(meant)} images"
        raise InputError(f"The registry {name!r} {said} {wanted!r}.", hint="Images: invoke registry.list")
    PROJECT.unset(name, f"images[{images.index(meant[0])}]")
    return meant[0]


def list_images(name: str) -> list[RegistryImage]:
    """The configured images, with their identifiers from the last ``registry.up``."""
    made = PROJECT.outputs(name).get("images") or {}
    return [
        RegistryImage(one.flavor, one.digest, str((made.get(one.digest) or {}).get("id", "")))
        for one in read(name).images
    ]


def up(name: str, *, yes: bool) -> configuration.RegistryConfiguration:
    """Bring the registry into the state that its configuration describes."""
    PROJECT.up(name, *(UNASKED if yes else ()))
    return read(name)


def down(name: str, *, yes: bool, remove: bool) -> None:
    """Delete the registry with all images and published disks; with ``remove`` also its stack and configuration."""
    PROJECT.destroy_protected(name, *(UNASKED if yes else ()))
    if remove:
        PROJECT.remove(name)


def destination(name: str) -> str:
    """The address to which ``image.publish`` uploads disks. Raises InputError before the first ``registry.up``."""
    found = PROJECT.outputs(name).get("destination")
    if not isinstance(found, str):
        raise InputError(f"The registry {name!r} is not up.", hint=f"Create it: invoke registry.up --stack {name}")
    return found


def facts(name: str) -> dict[str, Any]:
    """Full name, destination and images, for ``registry.list``."""
    found = PROJECT.outputs(name).get("destination", "")
    return {"registry": full_name(name), "destination": found, "images": [asdict(one) for one in list_images(name)]}


def full_name(name: str) -> str:
    """The name for a workspace's configuration. A state in files has one organization, ``organization``."""
    return f"organization/cloister-registry/{name}"


def _certificates(keys: Certificates) -> dict[str, str]:
    """Members of ``secure_boot`` in the configuration, by their paths."""
    paths = {"pk": keys.pk, "kek[0]": keys.kek, "db[0]": keys.db}
    return {path: base64.b64encode(der).decode() for path, der in paths.items()}
