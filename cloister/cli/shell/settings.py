"""Values of shared options: from the command line, else from the environment, else from Invoke's configuration files.

``key``, ``policy``, ``workspace``, ``manifest`` and ``collateral`` are CLOISTER_KEY and so on in the environment, and
in a checkout ``cloister: {key: ...}`` in ``invoke.yaml``. The agent's address may be in AGENT_GRPC_URL. With
CLOISTER_FETCH=1 missing collateral is fetched from the vendors' services. CLOISTER_KEY_PASSPHRASE_FILE names the file
with the passphrase of an encrypted key.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any

from invoke.context import Context

from cloister import client, environment
from cloister.cli.shell import acceptance, passphrase, show
from cloister.cli.shell.arguments import Verb
from cloister.cli.shell.options import Option
from cloister.cli.shell.verb import verb
from cloister.errors import InputError

if TYPE_CHECKING:
    from cloister.attestation.policy.either import AnyPolicy
    from cloister.attestation.policy.policy import Policy
    from cloister.client.collateral.sources import CollateralSources
    from cloister.client.files.keys import Key
    from cloister.client.party.machine import Machine
    from cloister.client.party.party import Party
    from cloister.protocol.imagemanifest import ImageManifest
    from cloister.protocol.manifest import Manifest


class Settings:
    """The shared options of one call of a verb: the party that types it. What loads a file raises InputError."""

    def __init__(self, c: Context, given: Mapping[str, str | bool | None]) -> None:
        """``given`` has the values of the verb's shared options as typed, falsy when omitted."""
        configuration: Any = c.config.get("cloister", {})
        self._configuration: Mapping[str, Any] = configuration or {}
        self._given = given

    @property
    def json(self) -> bool:
        """Whether to print JSON."""
        return bool(self._given.get("json"))

    def agreed(self, question: str) -> bool:
        """Whether to do what cannot be undone: a user at a terminal is asked, except with ``--yes``."""
        return show.agreed(question, yes=bool(self._given.get("yes")))

    def typed(self, name: str) -> str | None:
        """The value of an option on the command line; None when omitted."""
        value = self._given.get(name)
        return str(value) if value else None

    def configured(self, name: str) -> str | None:
        """The value of an option from the environment or the configuration; None when it is not set there."""
        return environment.configured(name) or self._configuration.get(name) or None

    def path(self, name: str) -> Path | None:
        """The file or folder of an option; None when it is not set anywhere."""
        text = self.typed(name) or self.configured(name)
        return Path(text) if text else None

    def address(self) -> str | None:
        """The agent's address in the environment; None if the command line names a CVM."""
        return None if self.typed("cvm") or self.typed("workspace") else environment.address()

    @cached_property
    def party(self) -> "Party":
        """The party that types: its key, policy and workspace, read when they are needed."""
        return client.Party(
            key=self.path("key"),
            policy=self.path("policy"),
            workspace=self.path("workspace"),
            cvm=self.typed("cvm"),
            address=self.address(),
            collateral=self.path("collateral"),
            fetch=bool(self._given.get("fetch")) or self.fetches_by_default(),
            passphrase=passphrase.ask,
            confirm=acceptance.confirm,
            noted=acceptance.noted,
        )

    def key(self) -> "Key":
        """The party's key."""
        if self.path("key") is None:
            raise InputError("No key is set.", hint="Set CLOISTER_KEY or pass --key; `keys` makes one.")
        return self.party.key

    def policy(self) -> "Policy":
        """The party's policy. There is no default: without a policy nothing is trusted."""
        if self.path("policy") is None:
            raise InputError(
                "No policy is set, and without one nothing is trusted.",
                hint="Set CLOISTER_POLICY or pass --policy; `policy` starts one.",
            )
        return self.party.policy

    def any_policy(self) -> "AnyPolicy":
        """The policy of either kind, for recorded evidence. There is no default."""
        path = self.path("policy")
        if path is None:
            raise InputError(
                "No policy is set, and without one nothing is trusted.",
                hint="Set CLOISTER_POLICY or pass --policy; `policy --from-evidence FILE` starts one for a report or "
                "quote.",
            )
        return client.load_any_policy(path)

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

    def located(self) -> "Party":
        """The party, which has a policy and names a CVM."""
        self.policy()
        if self.address() is None and self.path("workspace") is None:
            raise InputError(
                "No CVM is set.",
                hint="Set CLOISTER_WORKSPACE or pass --workspace with the workspace descriptor, or set an address in "
                f"{environment.ADDRESS}.",
            )
        return self.party

    def connect(self, manifest: "Manifest | None" = None) -> "Machine":
        """The CVM; nothing is opened yet. With ``manifest`` it must run that manifest."""
        party = self.located()
        self.key()
        return party.connect(manifest)

    def collateral(self) -> "CollateralSources":
        """Return the collateral that evidence does not carry: from the party's folder, and the vendors' if allowed."""
        return self.party.collateral

    def fetches_by_default(self) -> bool:
        """Return whether collateral is fetched from the vendors also without --fetch. Raises InputError for a typo."""
        return environment.fetches(self.configured("fetch"))

    def names(self, manifest: "Manifest | None" = None) -> dict[str, str]:
        """Key id -> name for display, from the workspace descriptor and ``manifest``."""
        return self.party.names(manifest)


def party_verb(
    *,
    options: Sequence[Option],
    example: str = "",
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
        example=example,
        help=help or {},
        positional=positional,
        required=required,
        several=several,
        repeated=repeated,
        interrupted=interrupted,
        options=options,
        bind=Settings,
    )
