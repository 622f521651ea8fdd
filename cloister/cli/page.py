"""The verb ``page``."""

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cloister import client, environment
from cloister.cli.shell import show
from cloister.cli.shell.command_line import program
from cloister.cli.shell.options import JSON, KEY, VENDORS
from cloister.cli.shell.settings import Settings, party_verb
from cloister.errors import InputError

if TYPE_CHECKING:
    from cloister.client.page.machines import WatchedMachine


@party_verb(
    interrupted="The page has ended; the machines go on.",
    repeated=["workspace", "policy", "manifest"],
    options=[KEY, *VENDORS, JSON.described("print the address as JSON")],
    help={
        "workspace": "workspace descriptor (default: $CLOISTER_WORKSPACE); may be repeated for several workspaces",
        "policy": "file of your policy (default: $CLOISTER_POLICY); one for each workspace, in any order",
        "manifest": "your copy of a manifest (default: $CLOISTER_MANIFEST), to compare with the machine's and to show "
        "names; may be repeated",
        "port": "port on 127.0.0.1; 0 for one that is free",
    },
    example="page --manifest computation.json",
)
def page(
    settings: Settings,
    workspace: Sequence[str] | None = None,
    policy: Sequence[str] | None = None,
    manifest: Sequence[str] | None = None,
    port: int = 0,
) -> None:
    """Serve a page for your browser on this machine: what is missing and who has to do it, live. Ctrl-C ends it."""
    client.require_page_packages()
    typed = {"workspace": list(workspace or ()), "policy": list(policy or ()), "manifest": list(manifest or ())}
    machines = _machines(settings, typed)
    key = settings.key()
    named = settings.typed("key")
    copies = typed["manifest"] or [settings.configured("manifest")]
    reader = client.StepReader(
        program=program(),
        options=("--key", named) if named else (),
        manifest=copies[0] or client.StepReader.manifest,
        manifest_set=not typed["manifest"] and bool(copies[0]),
    )

    def opened(address: str) -> None:
        if settings.json:
            show.facts({"address": address, "machines": [f"{one.workspace}/{one.cvm}" for one in machines]})
        else:
            print(f"Page      {address}")
            print("          Open it in a browser on this machine. The address works once. Ctrl-C ends the page.")
        print(end="", flush=True)

    try:
        client.serve_page(machines, key, port=port, reader=reader, opened=opened)
    finally:
        # The process ends now. Python would search all modules for garbage once more, which takes most of a second.
        gc.freeze()


def _machines(settings: Settings, typed: dict[str, list[str]]) -> "tuple[WatchedMachine, ...]":
    """The machines of all workspaces that are named, each with its policy."""
    policies = {file: client.load_policy(Path(file)) for file in _files(settings, typed, "policy")}
    if not policies:
        settings.policy()  # which says what to do
    files = _files(settings, typed, "manifest")
    manifests = [client.ManifestCopy(client.load_manifest(Path(file)), file) for file in files]
    collateral = settings.collateral()
    direct = environment.address()
    if direct and not typed["workspace"]:
        if len(policies) > 1:
            raise InputError(
                f"Several policies are set for the one machine of {environment.ADDRESS}.", hint="Name one --policy."
            )
        ((file, found),) = policies.items()
        options = ("--policy", file) if typed["policy"] else ()
        address = client.Address.parse(direct)
        return (client.machine_at(address, found, collateral=collateral, manifests=manifests, options=options),)
    workspaces = {file: client.load_descriptor(Path(file)) for file in _files(settings, typed, "workspace")}
    if not workspaces:
        raise InputError(
            "No workspace is set.", hint="Set CLOISTER_WORKSPACE or pass --workspace with the workspace descriptor."
        )
    options = {file: (f"--{name}", file) for name in ("workspace", "policy") for file in typed[name]}
    return client.machines_of(workspaces, policies, collateral=collateral, manifests=manifests, options=options)


def _files(settings: Settings, typed: dict[str, list[str]], name: str) -> list[str]:
    """The files of an option: as typed, else the one that is configured."""
    configured = settings.configured(name)
    return typed[name] or ([configured] if configured else [])
