"""Values of shared options: from the command line, else from the environment, else from Invoke's configuration files.

``key``, ``policy``, ``workspace``, ``manifest`` and ``collateral`` are CLOISTER_KEY and so on in the environment, and
in a checkout ``cloister: {key: ...}`` in ``invoke.yaml``. The agent's address may be in AGENT_GRPC_URL. With
CLOISTER_FETCH=1 missing collateral is fetched from the vendors' services. CLOISTER_KEY_PASSPHRASE_FILE names the file
with the passphrase of an encrypted key.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any

from invoke.context import Context

from cloister import client
from cloister.cli.shell import passphrase
from cloister.cli.shell.arguments import Verb
from cloister.cli.shell.options import Option
from cloister.cli.shell.verb import verb
from cloister.errors import InputError

if TYPE_CHECKING:
    from cloister.attestation.policy.policy import Policy
    from cloister.client.collateral.sources import CollateralSources
    from cloister.client.connection.connection import Connection
    from cloister.client.connection.opening import Target
    from cloister.client.files.keys import Key
    from cloister.protocol.imagemanifest import ImageManifest
    from cloister.protocol.manifest import Manifest

ADDRESS = "AGENT_GRPC_URL"
FETCH = "CLOISTER_FETCH"


class Settings:
    """The shared options of one call of a verb. What loads a file raises InputError."""

    def __init__(self, c: Context, given: Mapping[str, str | bool | None]) -> None:
        """``given`` has the values of the verb's shared options as typed, falsy when omitted."""
        configuration: Any = c.config.get("cloister", {})
        self._configuration: Mapping[str, Any] = configuration or {}
        self._key: Key | None = None
        self._given = given

    @property
    def json(self) -> bool:
        """Whether to print JSON."""
        return bool(self._given.get("json"))

    def typed(self, name: str) -> str | None:
        """The value of an option on the command line; None when omitted."""
        value = self._given.get(name)
        return str(value) if value else None

    def configured(self, name: str) -> str | None:
        """The value of an option from the environment or the configuration; None when it is not set there."""
        return os.environ.get(f"CLOISTER_{name.upper()}") or self._configuration.get(name) or None

    def path(self, name: str) -> Path | None:
        """The file or folder of an option; None when it is not set anywhere."""
        text = self.typed(name) or self.configured(name)
        return Path(text) if text else None

    def key(self) -> "Key":
        """The party's key. It is read once, so that a passphrase is asked for once."""
        if self._key is not None:
            return self._key
        path = self.path("key")
        if path is None:
            raise InputError("No key is set.", hint="Set CLOISTER_KEY or pass --key; `keys` makes one.")
        self._key = client.load_key(path, passphrase.ask)
        return self._key

    def policy(self) -> "Policy":
        """The party's policy. There is no default: without a policy nothing is trusted."""
        path = self.path("policy")
        if path is None:
            raise InputError(
                "No policy is set, and without one nothing is trusted.",
                hint="Set CLOISTER_POLICY or pass --policy; `policy` starts one.",
            )
        return client.load_policy(path)

    def manifest(self) -> "Manifest":
        """The party's copy of the manifest."""
        path = self.path("manifest")
        if path is None:
            raise InputError("No manifest is set.", hint="Set CLOISTER_MANIFEST or pass --manifest.")
        return client.load_manifest(path)

    def image(self) -> "ImageManifest | None":
        """The manifest of the image that will run an algorithm; None when it is not named."""
        path = self.typed("image")
        return client.load_image(Path(path)) if path else None

    def target(self, manifest: "Manifest | None" = None) -> "Target":
        """The CVM; with ``manifest`` it must run that manifest."""
        policy, collateral = self.policy(), self.collateral()
        digest = manifest.digest() if manifest else None
        direct = os.environ.get(ADDRESS)
        if direct and not self.typed("cvm") and not self.typed("workspace"):
            return client.Target(client.Address.parse(direct), policy, None, digest, collateral)
        path = self.path("workspace")
        if path is None:
            raise InputError(
                "No CVM is set.",
                hint=f"Set CLOISTER_WORKSPACE or pass --workspace with the workspace descriptor, or set an address in "
                f"{ADDRESS}.",
            )
        found = client.find_cvm(client.load_descriptor(path), self.typed("cvm"))
        return client.Target(client.Address.parse(found.endpoint), policy, found.name, digest, collateral)

    def connection(self, manifest: "Manifest | None" = None) -> "Connection":
        """A connection to the CVM; nothing is opened yet."""
        return client.Connection(self.target(manifest), self.key())

    def collateral(self) -> "CollateralSources":
        """Return the collateral that evidence does not carry: from the party's folder, and the vendors' if allowed."""
        path = self.path("collateral")
        fetches = self.fetches_by_default()
        network = client.VendorServices() if self._given.get("fetch") or fetches else None
        if path is None:
            return client.CollateralSources(network=network)
        return client.CollateralSources(client.load_collateral(path), network)

    def fetches_by_default(self) -> bool:
        """Return whether collateral is fetched from the vendors also without --fetch.

        Raises InputError for a value that is neither yes nor no, so that a typo never decides it.
        """
        text = self.configured("fetch") or "0"
        fetches = {"1": True, "true": True, "0": False, "false": False}.get(str(text).lower())
        if fetches is None:
            raise InputError(f"{FETCH} must be 1 or 0, not {text!r}.")
        return fetches

    def names(self, manifest: "Manifest | None" = None) -> dict[str, str]:
        """Key id -> name for display, from the workspace descriptor and ``manifest``."""
        path = self.path("workspace")
        members = client.member_names(client.load_descriptor(path)) if path else {}
        return client.key_names(manifest.parties, members) if manifest else members


def party_verb(
    *,
    options: Sequence[Option],
    name: str = "",
    help: Mapping[str, str] | None = None,
    positional: Sequence[str] = (),
    required: Sequence[str] = (),
    several: str = "",
    repeated: Sequence[str] = (),
    interrupted: str = "",
) -> Callable[[FunctionType], Verb]:
    """Make a function a verb whose first argument is its :class:`Settings`. The rest is as for ``verb``."""
    return verb(
        name=name,
        help=help or {},
        positional=positional,
        required=required,
        several=several,
        repeated=repeated,
        interrupted=interrupted,
        options=options,
        bind=Settings,
    )
