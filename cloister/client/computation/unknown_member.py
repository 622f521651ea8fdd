"""What an author meant by a member that a manifest does not have."""

import difflib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from cloister.protocol import schema

_BUNDLE = "Packages come in a bundle: `bundle requirements.txt` makes it, and algorithm.bundle names its file."
_IMAGE = "The image is not part of a manifest: each party's policy names it, and `manifest --image` checks against it."
_HARDWARE = "The sandbox has neither a GPU nor a network."
_PLACES = "The sandbox has a dataset at datasets/<file>, an unpacked one in datasets/<name>/; results/ is the result."

_MEANT: dict[str, tuple[str, ...]] = {
    "approval": ("approve", "approvals", "approvers", "approver", "signoff", "reviewers"),
    "args": ("arguments", "argv", "parameters", "params", "options", "cmd", "command"),
    "at": ("dest", "destination", "target", "to", "mount", "place"),
    "bundle": ("wheels", "wheelhouse"),
    "consumers": ("recipients", "receivers", "readers", "to"),
    "by": ("who", "approvers", "parties", "reviewers"),
    "cpus": ("cpu", "cores", "vcpus", "threads"),
    "datasets": ("data", "dataset", "inputs", "input"),
    "digest": ("hash", "sha256", "checksum", "sha"),
    "environment": ("env", "environ", "variables", "vars"),
    "expires": ("ttl", "expiry", "expiration", "until"),
    "file": ("path", "script", "source", "src", "code", "main", "program", "entrypoint", "filename", "uri", "url"),
    "files": ("weights", "models", "modules", "include", "extras", "assets", "datafiles"),
    "kind": ("type", "language", "runtime"),
    "max": ("size", "maxsize", "limit", "maximum"),
    "memory": ("ram", "mem", "memorylimit", "maxmemory"),
    "parties": ("members", "participants", "organisations", "organizations"),
    "processes": ("pids", "nproc", "maxprocesses"),
    "provider": ("owner", "party", "by", "from"),
    "results": ("outputs", "output", "result"),
    "sees": ("see", "shows", "show", "view", "views"),
    "time": ("timeout", "duration", "maxtime", "walltime"),
    "unpack": ("extract", "unzip", "untar", "archive", "decompress"),
}
"""Members, and what other tools and people call them, without ``-`` and ``_``."""

_ADVICE: dict[str, tuple[str, ...]] = {
    _BUNDLE: ("requirements", "dependencies", "packages", "pip", "conda", "install", "requirementstxt", "pypi", "libs"),
    _IMAGE: ("image", "docker", "container", "flavor", "base"),
    _HARDWARE: ("gpu", "gpus", "cuda", "accelerator", "network", "internet", "ports"),
    _PLACES: ("workdir", "workingdir", "datadir", "outputdir", "resultsdir", "volumes", "mounts"),
}
"""Sentences about what a manifest does not say, and the names under which people look for it."""


def hint(unknown: str, allowed: Collection[str], name: str = "manifest-source") -> str:
    """What to write instead of the member ``unknown`` beside ``allowed`` ones; the schema ``name`` has all others."""
    plain = unknown.lower().replace("-", "").replace("_", "").replace(".", "")
    known = sorted(allowed)
    for said, words in _ADVICE.items():
        if plain in words:
            return said
    for member, words in _MEANT.items():
        if plain in words and member in allowed:
            return f"Write `{member}`."
    similar = difflib.get_close_matches(unknown.lower(), known, 1)
    if similar:
        return f"Write `{similar[0]}`."
    elsewhere = sorted(set(_places(schema.load(name), unknown, "")))
    for member, words in _MEANT.items():
        if not elsewhere and plain in words:
            elsewhere = sorted(set(_places(schema.load(name), member, "")))
    if elsewhere:
        return f"Write it as {' or '.join(elsewhere)}."
    return f"Allowed here: {', '.join(known)}."


def _places(value: Mapping[str, Any], member: str, place: str) -> Iterator[str]:
    """The dotted places of a schema that have a member of this name."""
    properties = value.get("properties", {})
    for name, inner in properties.items():
        at = f"{place}.{name}" if place else name
        if name == member:
            yield at
        yield from _places(inner, member, at)
    for inner in value.get("patternProperties", {}).values():
        yield from _places(inner, member, f"{place}.NAME")
    if isinstance(value.get("items"), dict):
        yield from _places(value["items"], member, f"{place}[]")
