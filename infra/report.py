"""What the platform team's verbs print."""

import dataclasses
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from cloister import userfile
from cloister.cli.shell import show
from cloister.endpoint import Address, probe
from cloister.errors import CloisterError
from cloister.protocol.descriptor import Descriptor
from infra.configuration import public_key
from infra.live.cvms import DeployedCvm
from infra.live.status import WorkspaceStatus
from infra.reach.graph import ReachGraph
from infra.reach.workspace_graph import WorkspaceGraph

_MEBIBYTE = 1 << 20
_PROBE_SECONDS = 5.0
_PROBES = 16


def status(found: WorkspaceStatus, *, as_json: bool) -> None:
    """The CVMs of a workspace, whether their agents answer, and differences from the configuration."""
    if found.busy and not found.cvms and not as_json:
        return
    with ThreadPoolExecutor(_PROBES) as pool:
        agents = list(pool.map(_agent, found.cvms))
    if as_json:
        cvms = [dataclasses.asdict(one) | {"agent": agent} for one, agent in zip(found.cvms, agents, strict=True)]
        drift = [dataclasses.asdict(one) | {"sentence": one.sentence()} for one in found.drift]
        show.facts({"workspace": found.workspace, "cvms": cvms, "drift": drift, "not_compared": found.not_compared})
        return
    if not found.cvms:
        print(f"The workspace {found.workspace} is not up. Start it: invoke workspace.up --stack {found.workspace}")
        return
    table = _table("CVM", "endpoint", "machine", "agent", "size", "accelerator", "image")
    for one, agent in zip(found.cvms, agents, strict=True):
        state = {True: "running", False: "stopped", None: "deployed"}[one.running]
        table.add_row(one.name, one.endpoint, state, agent, one.size, one.accelerator, one.image[:16])
    _print(table)
    for difference in found.drift:
        print(difference.sentence())
    if found.not_compared:
        print(f"The comparison with the configuration is incomplete: {found.not_compared}")
    elif any(one.ours for one in found.drift):
        print(f"To correct this: invoke workspace.up --stack {found.workspace}")
    elif not found.drift:
        print("Everything matches the configuration.")
    unmanaged = sorted({one.what for one in found.drift if not one.ours})
    if unmanaged:
        print(
            f"Cloister does not manage these resources ({', '.join(unmanaged)}); remove them where they were created."
        )


def descriptor(found: Descriptor, output: Path | None) -> None:
    """The workspace descriptor as JSON, on the screen or in the file ``output``."""
    text = json.dumps(found.value(), indent=2, sort_keys=True) + "\n"
    if output is None:
        print(text, end="")
        return
    userfile.write_file(output, text.encode())
    print(f"Wrote {output}. Send it to the parties; they must confirm its contents with you over another channel.")


def workspaces(found: Mapping[str, Sequence[DeployedCvm]], *, as_json: bool) -> None:
    """The workspaces and the endpoints of their CVMs."""
    if as_json:
        show.facts([{"name": name, "up": any(not one.ended for one in cvms)} for name, cvms in found.items()])
        return
    if not found:
        print("No workspaces. Create one: invoke workspace.new NAME")
    for name, cvms in found.items():
        live = [f"{cvm.name} at {cvm.endpoint}" for cvm in cvms if not cvm.ended]
        print(f"{name}: {', '.join(live) if live else 'not up'}")


def reach(found: ReachGraph, *, as_json: bool) -> None:
    """Who can reach what in a workspace."""
    if as_json:
        show.facts(found.value())
        return
    for line in found.sentences():
        print(line)


def graph(found: WorkspaceGraph, *, as_json: bool) -> None:
    """Resources of a workspace, and who can reach what, as a flowchart."""
    if as_json:
        show.facts(found.value())
        return
    for line in found.mermaid():
        print(line)


def members(found: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """The members of a workspace. Raises InputError for an invalid key."""
    rows = [
        {
            "name": str(entry.get("name")),
            "roles": [str(role) for role in entry.get("roles") or []],
            "key_digest": hashlib.sha256(public_key.parse(str(entry.get("key")))).hexdigest(),
        }
        for entry in found
    ]
    if as_json:
        show.facts(rows)
        return
    table = _table("member", "roles", "SHA-256 of the public key")
    for row in rows:
        table.add_row(str(row["name"]), ", ".join(row["roles"]), str(row["key_digest"]))
    _print(table)


def sizes(found: Mapping[str, int], *, as_json: bool) -> None:
    """The caches and their sizes."""
    if as_json:
        show.facts(found)
        return
    for name, size in found.items():
        print(f"{size / _MEBIBYTE:8.0f} MiB  {name}")
    print(f"{sum(found.values()) / _MEBIBYTE:8.0f} MiB  in total")


def _agent(cvm: DeployedCvm) -> str:
    if cvm.ended or not cvm.endpoint:
        return "-"
    try:
        probe(Address.parse(cvm.endpoint), timeout=_PROBE_SECONDS)
    except CloisterError:
        return "does not answer"
    return "answers"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _print(table: Table) -> None:
    # Without a terminal, Rich would cut lines at 80 columns.
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else 200, highlight=False).print(table)
