"""A trial of one program without a manifest, for tests of packages and of the sandbox itself."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cloister.client.computation.asset import bare_name, describe_asset
from cloister.client.script.algorithm import Program
from cloister.client.script.examination import examine
from cloister.client.trial import engine
from cloister.client.trial.engine import Show
from cloister.client.trial.report import TrialReport
from cloister.protocol import canonical
from cloister.protocol.manifest import ALGORITHM, BUNDLE, Manifest

NO_DIGEST = "0" * 64
"""Stands for the digest of an asset of a trial, which no one compares."""

_PARTY = "author"


@dataclass(frozen=True)
class TrialLimits:
    """The limits of a trial without a manifest: seconds, bytes, CPUs, processes."""

    time: int = 600
    memory: int = 2 * 1024**3
    cpus: int = 2
    processes: int = 256
    results: int = 64 * 1024**2
    logs: int = 1024**2


def run(
    tree: Path,
    program: Path,
    *,
    kind: str = "python",
    args: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    bundle: Path | None = None,
    files: Mapping[str, Path] | None = None,
    datasets: Mapping[str, Path] | None = None,
    unpack: Collection[str] = (),
    limits: TrialLimits | None = None,
    show: Show = lambda printed: None,
    keep: IO[bytes] | None = None,
) -> TrialReport:
    """Run ``program`` in ``tree``, as ``engine.run`` runs a manifest.

    Args:
        tree: the folder of the image's root file system.
        program: the algorithm.
        kind: the algorithm's kind.
        args: its arguments.
        environment: its environment variables.
        bundle: what `bundle` has written.
        files: files beside the algorithm, by their path below its working folder.
        datasets: file or folder of each dataset, by name. It has its own file name in the sandbox.
        unpack: the names of the datasets to unpack.
        limits: what the run may use.
        show: called with what the program prints.
        keep: an empty file that gets the zip of the results.

    Raises:
        InputError: a file cannot be read, or a name cannot be that of an asset.
        TrialError: this system does not allow the namespaces of a trial.
    """
    bounds = limits or TrialLimits()
    beside = {f"file-{number}": (at, path) for number, (at, path) in enumerate((files or {}).items())}
    paths = {
        ALGORITHM: program,
        **(datasets or {}),
        **({BUNDLE: bundle} if bundle else {}),
        **{name: path for name, (_, path) in beside.items()},
    }
    algorithm = {
        "provider": _PARTY,
        "kind": kind,
        "args": list(args),
        "environment": dict(environment or {}),
        **_file(program),
        **({"bundle": _file(bundle)} if bundle else {}),
    }
    if kind == "oci":
        found = examine(Program(program, {}, environment or {}, kind=kind, args=tuple(args))).container
        algorithm["container"] = {} if found is None else asdict(found)
    if beside:
        algorithm["files"] = [{"name": name, "at": at, **_file(path)} for name, (at, path) in beside.items()]
    value = {
        "version": 1,
        "id": "0" * 32,
        "name": "trial",
        "description": "",
        "parties": {_PARTY: {"key": no_key()}},
        "algorithm": algorithm,
        "datasets": [_dataset(name, path, name in unpack) for name, path in (datasets or {}).items()],
        "results": {"consumers": [_PARTY], "expires": 3600, "max": bounds.results},
        "logs": {"readers": [_PARTY], "max": bounds.logs, "release": "end"},
        "limits": {
            "time": bounds.time,
            "memory": bounds.memory,
            "cpus": bounds.cpus,
            "processes": bounds.processes,
        },
    }
    return engine.run(tree, Manifest.from_value(value), paths, show, keep)


def no_key() -> str:
    """A public key that no one can use, in base64: its private key is thrown away."""
    public = Ed25519PrivateKey.generate().public_key()
    return canonical.to_base64(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _file(path: Path) -> dict[str, object]:
    return {"file": bare_name(path), "digest": NO_DIGEST, "size": path.stat().st_size}


def _dataset(name: str, path: Path, unpack: bool) -> dict[str, object]:
    size = {"unpacked_size": describe_asset(path, unpack=True).unpacked_size} if unpack else {}
    return {"name": name, "provider": _PARTY, "unpack": unpack, **size, **_file(path)}
