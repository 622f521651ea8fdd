"""Where a verb's options come from when they are not typed: the environment, then Invoke's configuration files.

``key``, ``policy``, ``workspace`` and ``manifest`` are CLOISTER_KEY and so on in the environment, and in a checkout
``cloister: {key: ...}`` in ``invoke.yaml``. The agent's address may be AGENT_GRPC_URL. What a machine in a cloud is
judged with comes from the folder CLOISTER_COLLATERAL and, with CLOISTER_FETCH=1, from the vendors' services.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.context import Context

from cloister.errors import InputError

if TYPE_CHECKING:
    from cloister.attestation.policy.policy import Policy
    from cloister.client.collateral.network import VendorServices
    from cloister.client.connection.connection import Connection, Target
    from cloister.client.evidence.vendors import Vendors
    from cloister.client.files.keys import Key
    from cloister.protocol.manifest import Manifest

ADDRESS = "AGENT_GRPC_URL"

KEY_HELP = "your private key (default: $CLOISTER_KEY)"
POLICY_HELP = "your policy (default: $CLOISTER_POLICY)"
WORKSPACE_HELP = "workspace descriptor (default: $CLOISTER_WORKSPACE); or the address in $AGENT_GRPC_URL"
CVM_HELP = "name of the CVM in the workspace descriptor"
MANIFEST_HELP = "your copy of the manifest, canonical (default: $CLOISTER_MANIFEST)"
JSON_HELP = "print JSON for programs"
COLLATERAL_HELP = "folder with what a vendor says of the machine (default: $CLOISTER_COLLATERAL)"
FETCH_HELP = "ask the vendors' services for what is missing (default: $CLOISTER_FETCH is 1)"
FETCH = "CLOISTER_FETCH"

VENDORS = {"collateral": COLLATERAL_HELP, "fetch": FETCH_HELP}
"""Help of the options that say what a machine is judged with beside its own evidence."""

WHERE = {"cvm": CVM_HELP, "workspace": WORKSPACE_HELP, "policy": POLICY_HELP}
"""Help of the options that name a CVM and what is demanded of it."""

PARTY = {"key": KEY_HELP, **WHERE}
"""Help of the options of everything that needs a bound session."""


def setting(c: Context, name: str, given: str | None) -> Path | None:
    """The path that an option names, or that stands for it in the environment or the configuration."""
    if given:
        return Path(given)
    if text := os.environ.get(f"CLOISTER_{name.upper()}"):
        return Path(text)
    configured: Any = c.config.get("cloister", {})
    text = configured.get(name) if configured else None
    return Path(text) if text else None


def key(c: Context, given: str | None) -> "Key":
    """The party's key. Raises InputError."""
    from cloister.client.files import keys

    path = setting(c, "key", given)
    if path is None:
        raise InputError("No key is given.", hint="Name your private key with --key or CLOISTER_KEY; `keys` makes one.")
    return keys.load(path)


def policy(c: Context, given: str | None) -> "Policy":
    """The party's policy. Raises InputError: there is no default policy, and there will be none."""
    from cloister.client.evidence import policy as policies

    path = setting(c, "policy", given)
    if path is None:
        raise InputError(
            "No policy is given, and nothing is trusted without one.",
            hint="Name yours with --policy or CLOISTER_POLICY; `policy` starts one.",
        )
    return policies.load(path)


def manifest(c: Context, given: str | None) -> "Manifest":
    """The party's copy of the manifest. Raises InputError."""
    from cloister.client.computation import manifest as manifests

    path = setting(c, "manifest", given)
    if path is None:
        raise InputError("No manifest is given.", hint="Name your copy with --manifest or CLOISTER_MANIFEST.")
    return manifests.load(path)


def target(
    c: Context,
    *,
    cvm: str | None,
    workspace: str | None,
    policy: "Policy",
    manifest_digest: bytes | None = None,
    collateral: str | None = None,
    fetch: bool = False,
) -> "Target":
    """The CVM that the options mean. Raises InputError."""
    from cloister.client.connection.connection import Target
    from cloister.client.files import descriptor_file as workspaces
    from cloister.endpoint import Address

    known = vendors(c, collateral, fetch)
    direct = os.environ.get(ADDRESS)
    if direct and not cvm and not workspace:
        return Target(Address.parse(direct), policy, None, manifest_digest, known)
    path = setting(c, "workspace", workspace)
    if path is None:
        raise InputError(
            "No CVM is named.",
            hint=f"Give the workspace descriptor with --workspace or CLOISTER_WORKSPACE, or an address in {ADDRESS}.",
        )
    found = workspaces.find(workspaces.load(path), cvm)
    return Target(Address.parse(found.endpoint), policy, found.name, manifest_digest, known)


def vendors(c: Context, collateral: str | None = None, fetch: bool = False) -> "Vendors":
    """What a verdict may use beside the evidence: the folder of an option or the environment, and the services."""
    from cloister.attestation.collateral_source import InMemory
    from cloister.client.collateral import folder
    from cloister.client.evidence.vendors import Vendors

    path = setting(c, "collateral", collateral)
    return Vendors(InMemory() if path is None else folder.load(path), network(c, fetch))


def network(c: Context, given: bool) -> "VendorServices | None":
    """The vendors' services, when an option or the environment says that they are asked; else None.

    Raises InputError for a value that says neither yes nor no: somebody would believe that nobody is asked.
    """
    from cloister.client.collateral.network import VendorServices

    configured: Any = c.config.get("cloister", {})
    text = os.environ.get(FETCH) or str((configured or {}).get("fetch", "0"))
    wanted = {"1": True, "true": True, "0": False, "false": False}.get(text.lower())
    if wanted is None:
        raise InputError(f"{FETCH} is {text!r}; it is 1 or 0.")
    return VendorServices() if given or wanted else None


def connection(
    c: Context,
    *,
    key: str | None,
    cvm: str | None,
    workspace: str | None,
    policy: str | None,
    manifest_digest: bytes | None = None,
) -> "Connection":
    """A connection that the options mean; nothing is opened yet. Raises InputError."""
    from cloister.client.connection.connection import Connection

    demanded = globals()["policy"](c, policy)
    where = target(c, cvm=cvm, workspace=workspace, policy=demanded, manifest_digest=manifest_digest)
    return Connection(where, globals()["key"](c, key))


def member_names(c: Context, workspace: str | None) -> dict[str, str]:
    """Key id -> name, as the workspace descriptor says; empty without one. For display only."""
    from cloister.client.files import descriptor_file as workspaces

    path = setting(c, "workspace", workspace)
    return workspaces.names(workspaces.load(path)) if path else {}
