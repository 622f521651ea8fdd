"""The registries of this checkout: the stacks of the project ``infra/registry/``."""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cloister import userfile
from cloister.errors import InputError
from image.publish.naming import TAR_GZ, VHD
from infra import paths
from infra.configuration import cloud, image
from infra.configuration.validation import ConfigurationError
from infra.pulumi_cli.project import Project
from infra.registry import configuration

PROJECT = Project(paths.CHECKOUT / "infra" / "registry", configuration.KEY, "registry")

DISKS = {"azure": ("disk.vhd", VHD), "gcp": ("disk.tar.gz", TAR_GZ)}
"""What is published of an image, by backend: the output of its build, and the ending of its name there."""

_PLACES = {"azure": ("subscription", "tenant", "location"), "gcp": ("project", "location")}
"""What `registry.new` asks for, by backend: its options, and the keys of the configuration."""

_SECURE_BOOT = {"pk": "PK.der", "kek": "KEK.der", "db": "db.der"}
_LARGEST_CERTIFICATE = 64 * 1024
_LEAST_PREFIX = 8


@dataclass(frozen=True)
class RegistryImage:
    """An image of a registry: ``identifier`` is what VMs name it by, "" before ``registry.up``."""

    flavor: str
    digest: str
    identifier: str


def create(name: str, backend: str, place: Mapping[str, str]) -> None:
    """A new registry, selected. Raises InputError by the options that say what is wrong; then nothing was made."""
    if backend not in cloud.BACKENDS:
        raise InputError(f"{backend!r} is no backend of a registry; the backends are {', '.join(cloud.BACKENDS)}.")
    if problems := (*_foreign(backend, place), *_problems(name, backend, place)):
        raise ConfigurationError("registry", name, problems)
    PROJECT.create(name)
    PROJECT.configure(name, {"backend": backend} | {f"{backend}.{key}": value for key, value in place.items()})
    PROJECT.use_declared_providers_only(name)


def _foreign(backend: str, place: Mapping[str, str]) -> Iterator[str]:
    for other, keys in _PLACES.items():
        for key in keys:
            if key in place and key not in _PLACES[backend]:
                yield f"--{key}: belongs to {other}, and the backend is {backend}; leave it out."


def _problems(name: str, backend: str, place: Mapping[str, str]) -> Iterator[str]:
    own = {key: value for key, value in place.items() if key in _PLACES[backend]}
    try:
        configuration.parse(name, {"backend": backend, backend: own})
    except ConfigurationError as error:
        # There is no file yet that has the keys.
        for problem in error.problems:
            path, colon, sentence = problem.partition(":")
            option = f"--{path.removeprefix(f'registry.{backend}.')}" if path != "stack" else "name"
            yield f"{option}{colon}{sentence}"


def read(name: str) -> configuration.RegistryConfiguration:
    """Raises ConfigurationError."""
    return configuration.parse(name, PROJECT.configuration(name))


def add(name: str, wanted: str, secure_boot: Path | None) -> configuration.PublishedImage:
    """Write the image ``wanted`` (a flavor, or the path of a manifest) into the configuration.

    ``secure_boot`` is a folder with PK.der, KEK.der and db.der. Raises InputError.
    """
    registry, found = read(name), image.find(wanted)
    output, _ = DISKS[registry.backend]
    flavor = found.manifest.flavor
    if output not in found.manifest.outputs:
        raise InputError(
            f"The image {wanted!r} has no {output}, which {registry.backend} needs.",
            hint=f"Build it again: invoke image.build --flavor {flavor}",
        )
    digests = [one.digest for one in registry.images]
    if found.digest in digests:
        raise InputError(f"The registry {name!r} has the image {found.digest} already.")
    keys = _certificates(secure_boot) if secure_boot is not None else {}
    path = f"images[{len(digests)}]"
    PROJECT.configure(
        name,
        {f"{path}.flavor": flavor, f"{path}.digest": found.digest}
        | {f"{path}.secure_boot.{key}": text for key, text in keys.items()},
    )
    # What was written is what will be read, or it is taken back.
    try:
        return read(name).images[-1]
    except InputError:
        PROJECT.unset(name, path)
        raise


def remove(name: str, wanted: str) -> configuration.PublishedImage:
    """Take the image of flavor or digest ``wanted`` (its first 8 digits do) out. Raises InputError."""
    images = read(name).images
    exact = [one for one in images if one.digest == wanted or one.flavor == wanted]
    meant = exact or [one for one in images if len(wanted) >= _LEAST_PREFIX and one.digest.startswith(wanted)]
    if len(meant) != 1:
        said = "has no image" if not meant else f"has {len(meant)} images"
        raise InputError(f"The registry {name!r} {said} {wanted!r}.", hint="Images: invoke registry.list")
    PROJECT.unset(name, f"images[{images.index(meant[0])}]")
    return meant[0]


def listed(name: str) -> list[RegistryImage]:
    """The images as configured, with what the last ``registry.up`` made of them."""
    made = PROJECT.outputs(name).get("images") or {}
    return [
        RegistryImage(one.flavor, one.digest, str((made.get(one.digest) or {}).get("id", "")))
        for one in read(name).images
    ]


def destination(name: str) -> str:
    """Where ``image.publish`` puts disks. Raises InputError before the first ``registry.up``."""
    found = PROJECT.outputs(name).get("destination")
    if not isinstance(found, str):
        raise InputError(f"The registry {name!r} is not up.", hint=f"Make it: invoke registry.up --stack {name}")
    return found


def facts(name: str) -> dict[str, Any]:
    """For ``registry.list --json``."""
    found = PROJECT.outputs(name).get("destination", "")
    return {"registry": full_name(name), "destination": found, "images": [asdict(one) for one in listed(name)]}


def full_name(name: str) -> str:
    """As a workspace's configuration has it; a state in files knows the one organization ``organization``."""
    return f"organization/cloister-registry/{name}"


def _certificates(folder: Path) -> dict[str, str]:
    found = {}
    for key, file in _SECURE_BOOT.items():
        try:
            text = base64.b64encode(userfile.read(folder / file, _LARGEST_CERTIFICATE)).decode()
            configuration.certificate(text)
        except OSError as error:
            raise InputError(f"{folder / file} cannot be read: {error.strerror}.") from error
        except InputError as error:
            raise InputError(f"{folder / file} is not a certificate (X.509, DER).") from error
        found[key if key == "pk" else f"{key}[0]"] = text
    return found
