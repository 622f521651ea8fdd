"""The verbs that test the checkout: ``test`` for a room or a suite, and ``fuzz``.

Long because each suite is a verb of its own.
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from invoke.collection import Collection
from invoke.exceptions import Exit

from cloister.cli.shell.verb import verb
from cloister.errors import CloisterError, InputError

CHECKOUT = Path(__file__).resolve().parents[1]
OUTPUT = CHECKOUT / "out" / "fuzz"


@verb(
    help={
        "minutes": "minutes of CPU time for each target (default: 1)",
        "target": "only this parser; see tests/fuzz/corpus",
    },
    interrupted="New inputs are kept in out/fuzz.",
    example="invoke fuzz --minutes 10 --target container-archive",
)
def fuzz(c: Any, minutes: str = "1", target: str = "") -> None:
    """Fuzz the parsers of hostile bytes, guided by coverage; the seeds are in tests/fuzz/corpus."""
    from tools.fuzz.targets import TARGETS

    names = [target] if target else list(TARGETS)
    if names[0] not in TARGETS:
        raise InputError(f"Unknown target {target}.", hint=f"Targets: {', '.join(TARGETS)}.")
    try:
        amount = float(minutes)
    except ValueError as error:
        raise InputError(f"--minutes must be a number, not {minutes}.") from error
    if importlib.util.find_spec("atheris") is None:
        raise InputError("The fuzzer is not installed.", hint="`make fuzz` adds it to .venv.")
    failed = [name for name in names if not _fuzzed(name, amount)]
    if failed:
        raise CloisterError(f"Findings in {', '.join(failed)}.", hint=f"See {OUTPUT}/TARGET: each finding is a file.")


def _fuzzed(name: str, minutes: float) -> bool:
    """Fuzz one target and print a line. Returns whether nothing was found."""
    folder = OUTPUT / name
    folder.mkdir(parents=True, exist_ok=True)
    argv = [sys.executable, "-m", "tools.fuzz", name, "--minutes", str(minutes), "--output", str(folder)]
    with (folder / "log").open("wb") as log:
        status = subprocess.run(argv, cwd=CHECKOUT, stdout=log, stderr=log, check=False).returncode
    if status != 0:
        print(f"{name}: finding, see {folder / 'log'}", flush=True)
        return False
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    print(f"{name}: {report['runs']} inputs in {report['seconds']:.0f} s, no finding", flush=True)
    return True


@verb(
    help={"only": "only this one: snp, tdx, azure, azure-tdx, gcp or vtpm"}, example="invoke test.exhaustive --only snp"
)
def exhaustive(c: Any, only: str = "") -> None:
    """Flip each bit of what is signed or bound in valid evidence; every change must be rejected (some minutes)."""
    from tools.exhaustive import SUBJECTS, flip

    if only and only not in SUBJECTS:
        raise InputError(f"Unknown subject {only}.", hint=f"Subjects: {', '.join(SUBJECTS)}.")
    accepted = 0
    for name in [only] if only else SUBJECTS:
        for count in flip(SUBJECTS[name]()):
            print(f"{name}: {count.sentence()}", flush=True)
            accepted += len(count.accepted)
    if accepted:
        raise CloisterError(
            f"The verifier accepted {accepted} flipped bits.", hint="Fix the verifier: see the list above."
        )


@verb(
    positional=["room"],
    help={
        "room": "folder below tests, for example client or client.connection; without it, rooms and suites are listed",
        "match": "only tests whose names match this expression (pytest -k)",
    },
    example="invoke test client.connection --match retry",
)
def test(c: Any, room: str = "", match: str = "") -> None:
    """Run the fast tests of one room, or list the rooms and suites."""
    from tools import suites

    if not room:
        _list(suites.rooms())
        return
    _end(suites.run_room(room, match=match))


def _list(rooms: Mapping[str, Path]) -> None:
    print("Rooms, run with `invoke test ROOM`:")
    for name, folder in rooms.items():
        count = len(list(folder.rglob("test_*.py")))
        print(f"  {name:<28} {count} {'file' if count == 1 else 'files'}")
    print("Suites:")
    for name, task in namespace.tasks.items():
        if name != "test":
            print(f"  {'test.' + name:<28} {(task.__doc__ or '').splitlines()[0]}")


def _end(status: int) -> None:
    """End the verb like pytest ended; it has already said why."""
    if status:
        raise Exit(code=status)


@verb(
    help={"match": "only tests whose names match this expression (pytest -k)"},
    example="invoke test.engine --match reach",
)
def engine(c: Any, match: str = "") -> None:
    """Run the tests that start the Pulumi engine (minutes; `make test` runs most of them)."""
    from tools import suites

    suites.require_packages("infra")
    _end(suites.run([suites.TESTS / "infra"], select="engine", match=match, workers=suites.WORKERS))


@verb(
    help={"match": "only tests whose names match this expression (pytest -k)"},
    example="invoke test.machines --match workspace",
)
def machines(c: Any, match: str = "") -> None:
    """Run the tests that build the guest image and boot virtual machines (minutes; `make test` runs most of them)."""
    from tools import suites

    _end(suites.run([suites.E2E], select=suites.MACHINES, match=match))


@verb(help={"match": "only tests whose names match this expression (pytest -k)"}, example="invoke test.scratch")
def scratch(c: Any, match: str = "") -> None:
    """Change the scratch disk of a running machine, and search the memory that it leaves (two minutes)."""
    from tools import suites

    _end(suites.run([suites.E2E / "scratch" / "test_scratch.py"], match=match))


@verb(help={"match": "only cases whose names match this expression (pytest -k)"}, example="invoke test.hostile")
def hostile(c: Any, match: str = "") -> None:
    """Boot machines from changed disks and hosts, with and without Secure Boot (a quarter of an hour)."""
    from tools import suites

    _end(suites.run([suites.E2E / "hostile" / "test_hostile.py"], match=match))


@verb(
    help={"match": "only packages whose names match this expression (pytest -k)"},
    example="invoke test.packages --match polars",
)
def packages(c: Any, match: str = "") -> None:
    """Bundle the packages that people train with, and use them in the guest (fetches 370 MB; minutes)."""
    from tools import suites

    files = [
        suites.E2E / "image" / name for name in ("test_packages.py", "test_packages_in_vm.py", "test_guest_python.py")
    ]
    _end(suites.run(files, match=match))


@verb(
    help={"match": "only examples whose names match this expression (pytest -k)"},
    example="invoke test.examples --match fraud",
)
def examples(c: Any, match: str = "") -> None:
    """Run the examples of examples/ to their predictions, by trial and, small, in virtual machines (half an hour)."""
    from tools import suites

    _end(suites.run([suites.E2E / "test_examples.py"], match=match))


@verb(
    help={"match": "only tests whose names match this expression (pytest -k)"},
    example="invoke test.flavors --match verdict",
)
def flavors(c: Any, match: str = "") -> None:
    """Build, rebuild and use the image pytorch and a team's own image (fetches 180 MB; many minutes)."""
    from tools import suites

    _end(suites.run([suites.E2E / "image" / "test_flavors.py"], match=match))


@verb(help={"match": "only tests whose names match this expression (pytest -k)"}, example="invoke test.load")
def load(c: Any, match: str = "") -> None:
    """Keep an agent busy with idle, slow, malformed and many peers, while honest parties finish (minutes)."""
    from tools import suites

    _end(suites.run([suites.TESTS / "load"], match=match))


@verb(
    help={"match": "only faults whose names match this expression (pytest -k), for example seed-017"},
    example="invoke test.faults",
)
def faults(c: Any, match: str = "") -> None:
    """Cause 500 faults in uploads, runs and results, and 20 in a booted machine (a quarter of an hour)."""
    from tools import suites

    files = [suites.TESTS / "faults", suites.E2E / "test_faults.py"]
    _end(suites.run(files, match=match, workers=suites.WORKERS))


@verb(help={}, example="invoke test.sandbox")
def sandbox(c: Any) -> None:
    """Abuse the sandbox in all ways of docs/sandbox.md, on a booted machine and in trials (minutes)."""
    from tools import suites

    _end(suites.run([suites.E2E / "sandbox" / "test_abuses.py", suites.TESTS / "client" / "trial" / "test_abuses.py"]))


@verb(help={"match": "only kinds whose names match this expression (pytest -k)"}, example="invoke test.kinds")
def kinds(c: Any, match: str = "") -> None:
    """Run a compiled program, a WebAssembly module and a container image on a booted machine (minutes)."""
    from tools import suites

    _end(suites.run([suites.E2E / "sandbox" / "test_kinds.py"], match=match))


@verb(
    help={
        "match": "only tests whose names match this expression (pytest -k)",
        "pictures": "folder for a picture of each page (default: out/browser)",
    },
    example="invoke test.browser",
)
def browser(c: Any, match: str = "", pictures: str = "") -> None:
    """Look at every page in Chromium, in all sizes and colours and on paper (fetches 150 MB; a minute)."""
    from tools import suites

    suites.require_packages("browser")
    folder = Path(pictures).absolute() if pictures else CHECKOUT / "out" / "browser"
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["CLOISTER_PICTURES"] = str(folder)
    print(f"Pictures: {folder}", flush=True)
    _end(suites.run([suites.TESTS / "browser"], match=match))


@verb(help={"match": "only tests whose names match this expression (pytest -k)"}, example="invoke test.pulumi")
def pulumi(c: Any, match: str = "") -> None:
    """Use the component from a TypeScript program, and generate its packages again (fetches 100 MB; minutes)."""
    from tools import suites

    suites.require_packages("infra.component")
    _end(suites.run([suites.TESTS / "infra" / "component"], match=match))


@verb(
    help={"match": "only pages whose names match this expression (pytest -k)"},
    example="invoke test.pages --match operations",
)
def pages(c: Any, match: str = "") -> None:
    """Type all commands of README.md and docs/*.md, in the order of each page (two minutes)."""
    from tools import suites

    _end(suites.run([suites.TESTS / "pages"], match=match))


@verb(help={"match": "only tests whose names match this expression (pytest -k)"}, example="invoke test.rebuild")
def rebuild(c: Any, match: str = "") -> None:
    """Rebuild the image without a network, and verify a machine from a new clone (three minutes)."""
    from tools import suites

    files = [suites.E2E / "image" / name for name in ("test_years_later.py", "test_verify_it_yourself.py")]
    _end(suites.run(files, match=match))


@verb(
    help={"match": "only tests whose names match this expression (pytest -k)"},
    example="invoke test.interop --match cosign",
)
def interop(c: Any, match: str = "") -> None:
    """Verify our statements and documents with other people's tools (builds cosign with Go; many minutes)."""
    from tools import suites

    _end(suites.run([suites.TESTS / "interop"], match=match))


namespace = Collection(
    "test",
    browser,
    engine,
    examples,
    exhaustive,
    faults,
    flavors,
    hostile,
    interop,
    kinds,
    load,
    machines,
    packages,
    pages,
    pulumi,
    rebuild,
    sandbox,
    scratch,
)
namespace.add_task(test, default=True)
