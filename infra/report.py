"""What the platform team's verbs print."""

import dataclasses
import hashlib
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rich.console import Console
from rich.table import Table

from cloister.cli.shell import show
from cloister.endpoint import Address, probe
from cloister.errors import CloisterError
from infra.configuration import key
from infra.doctor import MachineCheck
from infra.live.cvms import DeployedCvm
from infra.live.drift import Difference
from infra.reach.graph import ReachGraph

_MEBIBYTE = 1 << 20
_PROBE_SECONDS = 5.0
_PROBES = 16


def machines(
    workspace: str, found: Sequence[DeployedCvm], drift: Sequence[Difference], wrong: str, *, as_json: bool
) -> None:
    """The CVMs of one workspace; each agent is asked whether it answers. ``drift`` is where they are not as declared,
    ``wrong`` why not all of that could be found.
    """
    with ThreadPoolExecutor(_PROBES) as pool:
        agents = list(pool.map(_agent, found))
    if as_json:
        cvms = [dataclasses.asdict(one) | {"agent": agent} for one, agent in zip(found, agents, strict=True)]
        differences = [dataclasses.asdict(one) | {"sentence": one.sentence()} for one in drift]
        show.facts({"workspace": workspace, "cvms": cvms, "drift": differences, "not_compared": wrong})
        return
    if not found:
        print(f"The workspace {workspace} is not up. Start it: invoke workspace.up --stack {workspace}")
        return
    table = _table("CVM", "endpoint", "machine", "agent", "size", "accelerator", "image")
    for one, agent in zip(found, agents, strict=True):
        state = {True: "running", False: "stopped", None: "deployed"}[one.running]
        table.add_row(one.name, one.endpoint, state, agent, one.size, one.accelerator, one.image[:16])
    _print(table)
    for difference in drift:
        print(difference.sentence())
    if wrong:
        print(
            f"Whether {'more of it is otherwise than' if drift else 'this is what is'} declared is not known: {wrong}"
        )
    elif any(one.ours for one in drift):
        print(f"To put that right: invoke workspace.up --stack {workspace}")
    elif not drift:
        print("All of it is as declared.")
    strays = sorted({one.what for one in drift if not one.ours})
    if strays:
        print(f"What is there of {', '.join(strays)} beside the workspace's own, only who put it there takes away.")


def workspaces(found: Mapping[str, Sequence[DeployedCvm]], *, as_json: bool) -> None:
    if as_json:
        show.facts([{"name": name, "up": any(not one.ended for one in cvms)} for name, cvms in found.items()])
        return
    if not found:
        print("There is no workspace yet. Make one: invoke workspace.new NAME")
    for name, cvms in found.items():
        live = [f"{cvm.name} at {cvm.endpoint}" for cvm in cvms if not cvm.ended]
        print(f"{name}: {', '.join(live) if live else 'not up'}")


def reach(found: ReachGraph, *, as_json: bool) -> None:
    """Who can reach what."""
    if as_json:
        show.facts(found.value())
        return
    for line in found.sentences():
        print(line)


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


def findings(found: Sequence[MachineCheck], *, as_json: bool) -> None:
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


def _agent(machine: DeployedCvm) -> str:
    if machine.ended or not machine.endpoint:
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
