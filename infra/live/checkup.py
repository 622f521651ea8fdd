"""Checks of ``doctor`` about the checkout and its workspaces: state, image, configurations, locks, clouds."""

import importlib.metadata
import inspect
import os
import re
import shutil
import stat
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

from cloister.errors import InputError
from cloister.machinecheck import MachineCheck, NotChecked, run_checks
from infra import paths
from infra.configuration import cloud, image, workspace
from infra.live import workspaces
from infra.pulumi_cli import lock

_BACKEND = "PULUMI_BACKEND_URL"
_PASSPHRASES = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")
_STACKS = ".pulumi/stacks"
_AZURE = ("ARM_CLIENT_ID", "ARM_USE_MSI", "ARM_USE_OIDC")
_GCP = ("GOOGLE_CREDENTIALS", "GOOGLE_OAUTH_ACCESS_TOKEN")
_GCP_FILE = "GOOGLE_APPLICATION_CREDENTIALS"


def check_up() -> list[MachineCheck]:
    """All checks, in the order in which to fix them."""
    return _Checkup().results()


class _Checkup:
    def results(self) -> list[MachineCheck]:
        checks: dict[str, Callable[[], str]] = {
            "checkout": self._check_checkout,
            "state": self._check_state,
            "backend": self._check_backend,
            "passphrase": self._check_passphrase,
            "workspaces": self._check_workspaces,
            "stacks": self._check_stacks,
            "locks": self._check_locks,
            "image": self._check_image,
            "cloud packages": self._check_packages,
            "cloud credentials": self._check_credentials,
        }
        return run_checks(checks)

    @cached_property
    def _state(self) -> Path | None:
        """The folder with the state of the stacks; None when it is elsewhere, or not there yet."""
        address = urlsplit(os.environ.get(_BACKEND) or paths.state().as_uri())
        path = Path(unquote(address.path))
        return path if address.scheme == "file" and path.is_dir() else None

    @cached_property
    def _configured(self) -> dict[str, Any]:
        """The configuration of each workspace that has a file here."""
        found = {}
        for path in sorted(workspaces.PROJECT.folder.glob("Pulumi.*.yaml")):
            try:
                value = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("config") or {}
                found[path.name.split(".")[1]] = value.get(workspaces.KEY)
            except (yaml.YAMLError, UnicodeDecodeError, AttributeError) as error:
                said = " ".join(str(error).split())
                raise InputError(f"{path} is not valid YAML: {said}.", hint="Correct the file.") from error
        return found

    def _backends(self) -> set[str]:
        if not self._configured:
            raise NotChecked("no workspace yet; create one: invoke workspace.new NAME")
        return {str(one.get("backend")) for one in self._configured.values() if isinstance(one, dict)}

    def _check_checkout(self) -> str:
        found = Path(inspect.getfile(MachineCheck)).parents[1]
        if found != paths.CHECKOUT:
            raise InputError(
                f"These are the verbs of {paths.CHECKOUT}, with the package cloister of {found}.",
                hint="Use the programs of one checkout: . .cloister/env",
            )
        return str(found)

    def _check_state(self) -> str:
        folder = paths.state()
        if not folder.exists():
            raise NotChecked("there is no state yet; `invoke setup` makes it")
        mode = stat.S_IMODE(folder.stat().st_mode)
        if not folder.is_dir() or mode & 0o077 or not os.access(folder, os.W_OK | os.X_OK):
            raise InputError(
                f"{folder} holds keys, and must be a folder that only you can read and write (mode {mode:04o}).",
                hint=f"chmod 700 {folder}",
            )
        return str(folder)

    def _check_backend(self) -> str:
        named = os.environ.get(_BACKEND, "")
        if named.startswith("file:") and self._state is None:
            raise InputError(
                f"{_BACKEND} names a folder that does not exist: {named}.",
                hint=f"unset {_BACKEND}, or create the folder if your team's state shall be there.",
            )
        return named or "the state folder of this checkout"

    def _check_passphrase(self) -> str:
        if any(os.environ.get(name) for name in _PASSPHRASES):
            return "set by you"
        if self._state != paths.state() or not any((paths.state() / _STACKS).glob("*/*.json")):
            raise NotChecked("no stack of this checkout is encrypted with it yet")
        if not (path := paths.state() / paths.PASSPHRASE).exists():
            raise InputError(
                f"{path} is missing, and the stacks of this checkout are encrypted with what it held.",
                hint="Restore it from your backup. Without it, the stacks can only be made again.",
            )
        return str(paths.state() / paths.PASSPHRASE)

    def _check_workspaces(self) -> str:
        self._backends()
        for name, value in self._configured.items():
            workspace.parse(name, value)
        return ", ".join(self._configured)

    def _check_stacks(self) -> str:
        self._backends()
        if self._state is None or self._state != paths.state():
            raise NotChecked("the state is in another place")
        known = {path.name.split(".")[0] for path in (self._state / _STACKS).glob("*/*.json")}
        if missing := [name for name in self._configured if name not in known]:
            raise InputError(
                f"There is no state of the workspaces {', '.join(missing)}, although infra/ has their configuration.",
                hint=f"Restore {self._state}, or remove infra/Pulumi.{missing[0]}.yaml and create the workspace again.",
            )
        return f"{len(self._configured)} workspaces"

    def _check_locks(self) -> str:
        self._backends()
        backend = os.environ.get(_BACKEND) or paths.state().as_uri()
        for name in self._configured:
            for one in lock.of(backend, workspaces.PROJECT.folder, name):
                if not one.is_left_behind():
                    raise InputError(
                        f"The workspace {name} is being changed by {one.holder() or 'another process'}.",
                        hint=f"Wait until it has ended. If it was killed elsewhere: cd infra && pulumi cancel {name}",
                    )
        return "no other process changes a workspace"

    def _check_image(self) -> str:
        used = {str(one.get("image")) for one in self._configured.values() if isinstance(one, dict)} or {"base"}
        found = []
        for name in sorted(used):
            one = image.find(name)
            if workspace.LOCAL in (self._backends() if self._configured else {workspace.LOCAL}):
                size, wanted = (
                    one.disk.stat().st_size if one.disk.exists() else 0,
                    one.outputs[image.DISK].size,
                )
                if size != wanted:
                    raise InputError(
                        f"The disk of the image {name} is incomplete (expected {wanted} bytes, found {size}).",
                        hint=f"Build it again: invoke image.build --flavor {one.manifest.flavor}",
                    )
            found.append(f"{name}, manifest {one.digest}")
        return "; ".join(found)

    def _check_packages(self) -> str:
        for backend in sorted(self._backends() & set(cloud.BACKENDS)):
            for name in cloud_packages(backend):
                try:
                    importlib.metadata.version(name)
                except importlib.metadata.PackageNotFoundError as error:
                    raise InputError(
                        f"A workspace is in {backend}, and the package {name} is not installed.", hint=f"make {backend}"
                    ) from error
        return "those of your workspaces' clouds"

    def _check_credentials(self) -> str:
        backends = self._backends()
        if "azure" in backends and not any(os.environ.get(name) for name in _AZURE) and not shutil.which("az"):
            raise InputError(
                "A workspace is in Azure, and there is neither the Azure CLI nor a service principal.",
                hint="Install it and run `az login`, or set ARM_CLIENT_ID and the others (docs/azure.md).",
            )
        if "gcp" in backends and not any(os.environ.get(name) for name in _GCP):
            default = Path.home() / ".config" / "gcloud" / "application_default_credentials.json"
            path = Path(os.environ.get(_GCP_FILE) or default)
            if not path.exists():
                raise InputError(
                    f"A workspace is in Google Cloud, and there are no credentials at {path}.",
                    hint=f"gcloud auth application-default login, or set {_GCP_FILE} (docs/gcp.md).",
                )
        if not backends & set(cloud.BACKENDS):
            raise NotChecked("no workspace is in a cloud")
        return "found; whether they are valid, the first `workspace.up` tells"


def cloud_packages(backend: str) -> list[str]:
    """The packages that only workspaces in one cloud need."""
    extra = re.compile(rf"([A-Za-z0-9._-]+).*;.*\bextra == ['\"]{backend}['\"]")
    return [found[1] for one in importlib.metadata.requires("cloister") or () if (found := extra.match(one))]
