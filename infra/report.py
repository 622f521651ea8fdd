"""What the platform team's verbs print."""

import dataclasses
import hashlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from cloister.cli import show
from cloister.endpoint import Address, probe
from cloister.errors import CloisterError
from infra import key
from infra.doctor import Finding
from infra.stack import Machine

_MEBIBYTE = 1 << 20
_PROBE_SECONDS = 5.0


def machines(workspace: str, found: Sequence[Machine], *, as_json: bool) -> None:
    """The CVMs of one workspace; each agent is asked whether it answers."""
    agents = [_agent(machine) for machine in found]
    if as_json:
        cvms = [dataclasses.asdict(one) | {"agent": agent} for one, agent in zip(found, agents, strict=True)]
        show.facts({"workspace": workspace, "cvms": cvms})
        return
    if not found:
        print(f"The workspace {workspace} is not up. Start it: invoke workspace.up --stack {workspace}")
        return
    table = _table("CVM", "endpoint", "machine", "agent", "accelerator", "memory", "image")
    for one, agent in zip(found, agents, strict=True):
        state = "running" if one.running else "stopped"
        memory = f"{one.memory // _MEBIBYTE} MiB"
        table.add_row(one.name, one.endpoint, state, agent, one.accelerator, memory, one.image[:16])
    _print(table)


def workspaces(found: Mapping[str, Sequence[Machine]], *, as_json: bool) -> None:
    if as_json:
        show.facts([{"name": name, "up": any(one.running for one in cvms)} for name, cvms in found.items()])
        return
    if not found:
        print("There is no workspace yet. Make one: invoke workspace.new NAME")
    for name, cvms in found.items():
        live = [f"{cvm.name} at {cvm.endpoint}" for cvm in cvms if cvm.running]
        print(f"{name}: {', '.join(live) if live else 'not up'}")


def members(found: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Raises InputError for a key that is none."""
    rows = [
        {
            "name": str(entry.get("name")),
            "roles": [str(role) for role in entry.get("roles") or []],
            "key_digest": hashlib.sha256(key.parse(str(entry.get("key")))).hexdigest(),
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


def findings(found: Sequence[Finding], *, as_json: bool) -> None:
    """Raises CloisterError when something is missing, so that a script sees it."""
    if as_json:
        show.facts([dataclasses.asdict(finding) for finding in found])
    else:
        for finding in found:
            print(f"{'ok  ' if finding.good else 'FIX '} {finding.name}: {finding.found}")
            if not finding.good:
                print(f"       {finding.remedy}")
    wrong = [finding.name for finding in found if not finding.good]
    if wrong:
        raise CloisterError(f"Something is missing: {', '.join(wrong)}.")


def sizes(found: Mapping[str, int], *, as_json: bool) -> None:
    if as_json:
        show.facts(found)
        return
    for name, size in found.items():
        print(f"{size / _MEBIBYTE:8.0f} MiB  {name}")
    print(f"{sum(found.values()) / _MEBIBYTE:8.0f} MiB  in all")


def _agent(machine: Machine) -> str:
    if not machine.running:
        return "-"
    try:
        probe(Address.parse(machine.endpoint), timeout=_PROBE_SECONDS)
    except CloisterError:
        return "does not answer"
    return "answers"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _print(table: Table) -> None:
    # Not on a terminal: no line is cut to fit one.
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else 200, highlight=False).print(table)
