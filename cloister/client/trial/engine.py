"""Runs one manifest in a tree of the guest image, in namespaces of its own on this machine."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import IO, Any, cast

from cloister import userfile
from cloister.client.script.failure import OutputEnd
from cloister.client.trial.enter import message
from cloister.client.trial.report import TrialReport
from cloister.errors import CloisterError, InputError
from cloister.protocol import text
from cloister.protocol.foldertar import FolderTar
from cloister.protocol.manifest import Asset, Manifest
from cloister.protocol.wheels import image_packages

ENTER = Path(__file__).with_name("enter.py")
_PARTS = ("usr/bin/python3", "usr/bin/crun", "usr/lib/cloister/agent_runtime/trial/main.py")
_PACKAGES = f"usr/lib/cloister/{image_packages.FILE}"
_MOUNT_POINTS = ("dev", "proc", "run", "sys", "tmp")
_PIPE = 64 * 1024
_PIECE = 1024 * 1024
_MAX_REPORT = 256 * 1024 * 1024
"""Bytes of the report of the program in the tree: logs of at most 64 MiB, in hex, and the names of the results."""

_GRACE = 10.0
"""Seconds for the namespaces to end after they were told to."""

_OLDEST = (5, 14)
"""The first Linux that counts processes per user namespace and shows a process's memory by kind."""

_VM_HINT = "Try it in a local VM instead: `invoke setup`, `invoke workspace.new`, `invoke workspace.up`."

Show = Callable[[bytes], object]
"""Called with what the algorithm prints, as it comes."""


class TrialError(CloisterError):
    """A trial cannot be started on this machine, or ended early."""

    remedy = _VM_HINT


def run(
    tree: Path,
    manifest: Manifest,
    assets: Mapping[str, Path],
    show: Show = lambda data: None,
    keep: IO[bytes] | None = None,
) -> TrialReport:
    """Run ``manifest`` in ``tree`` and wait for its end. No process, mount or folder is left behind.

    Args:
        tree: the folder of the image's root file system.
        manifest: what to run. Digests, parties and keys do not matter.
        assets: the path of each asset, by the asset's name. A folder stands for its tar.
        show: called with what the algorithm prints.
        keep: an empty file that gets the zip of the results, with their names in a machine's zip.

    Raises:
        InputError: the tree is not one, or an asset cannot be read.
        TrialError: this system does not allow the namespaces, or the sandbox could not be built.
    """
    _check_system(tree)
    _check_packages(tree, manifest)
    with contextlib.ExitStack() as stack:
        sources, kept = {}, []
        for asset in manifest.assets():
            source, descriptor = _source(assets[asset.name], stack)
            sources[_place(asset)] = source
            kept += descriptor
        plan: dict[str, Any] = {"tree": str(tree.resolve()), "assets": sources}
        if keep is not None:
            plan["keep"] = keep.fileno()
            kept.append(keep.fileno())
        printed = OutputEnd()

        def take(piece: bytes) -> None:
            printed.add(piece)
            show(piece)

        answer = _execute(plan, manifest, kept, take)
    try:
        return TrialReport.from_answer(answer, manifest, printed)
    except (KeyError, TypeError, ValueError) as error:
        raise TrialError("The report of the program in the tree is malformed.") from error


def _check_system(tree: Path) -> None:
    for part in _PARTS:
        if not os.path.lexists(tree / part):
            raise InputError(
                f"{tree} is not the root file system of a guest image that can run trials: it has no {part}.",
                hint="Build the image (`invoke image.build`), or ask the platform team for the file that "
                "`invoke image.export` writes.",
            )
    for name in _MOUNT_POINTS:
        # What is mounted through a link would lie elsewhere in the caller's files.
        if (tree / name).is_symlink() or not (tree / name).is_dir():
            raise InputError(f"{tree} is not the root file system of a guest image: its {name} is not a folder.")
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        raise TrialError(f"A trial needs Linux on x86-64, not {sys.platform} on {os.uname().machine}.")
    release = os.uname().release
    if tuple(int(part) for part in release.split("-")[0].split(".")[:2] if part.isdigit()) < _OLDEST:
        raise TrialError(f"A trial needs Linux 5.14 or newer, not {release}.")


def _check_packages(tree: Path, manifest: Manifest) -> None:
    """Raise InputError unless the image has what the algorithm counts on; a machine refuses the manifest."""
    counted = manifest.algorithm.image_packages
    if not counted:
        return
    try:
        found = image_packages.parse(userfile.read(tree / _PACKAGES, image_packages.MAX_SIZE))
    except OSError as error:
        raise userfile.unreadable(tree / _PACKAGES, error, missing="Build the image again.") from error
    if said := image_packages.missing(counted, found):
        raise InputError(
            f"The algorithm counts on packages that the image in {tree} does not have: {said}.",
            hint="Name the image that will run it, or make the bundle again for this one.",
        )


def _place(asset: Asset) -> str:
    """Where a machine's agent stores an asset, below its folder of assets."""
    if asset.kind == "file":
        return f"files/{asset.name}"
    if asset.kind != "dataset":
        return asset.name
    return f"packed/{asset.name}" if asset.unpack else f"datasets/{asset.file}"


def _source(path: Path, stack: contextlib.ExitStack) -> tuple[str, list[int]]:
    """The path of an asset for the other side, and the descriptors that it needs."""
    try:
        if not path.is_dir():
            userfile.open_regular(path).close()
            return str(path.resolve()), []
        packed = stack.enter_context(_packed(path))
    except OSError as error:
        raise userfile.unreadable(path, error) from error
    return f"/proc/self/fd/{packed.fileno()}", [packed.fileno()]


@contextlib.contextmanager
def _packed(folder: Path) -> Generator[IO[bytes], None, None]:
    with tempfile.TemporaryFile() as packed, FolderTar(folder) as tar:
        shutil.copyfileobj(cast(Any, tar), packed, _PIECE)
        packed.flush()
        yield packed


def _execute(plan: dict[str, Any], manifest: Manifest, kept: list[int], show: Show) -> dict[str, Any]:
    """Start the program in the namespaces and follow it to its end. Its report."""
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as report, tempfile.TemporaryFile() as complaints:
        try:
            process = subprocess.Popen(
                [*_scope(), sys.executable, "-I", "-S", str(ENTER), str(writer)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                pass_fds=(writer, *kept),
                env=_environment(),
                cwd="/",
                # Ctrl-C is for this program, which then ends the other.
                start_new_session=True,
            )
        finally:
            os.close(writer)
        answer: list[bytes] = []
        follower = threading.Thread(target=lambda: answer.append(report.read(_MAX_REPORT)), name="report", daemon=True)
        try:
            follower.start()
            _follow(process, message(plan) + message(manifest.value()), show)
        finally:
            _end(process)
            follower.join()
        complaints.seek(0)
        return _answer(b"".join(answer), complaints.read()[-4096:].decode("utf-8", "replace").strip())


def _follow(process: subprocess.Popen[bytes], request: bytes, show: Show) -> None:
    if process.stdin is None or process.stdout is None:
        return
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(request)
        process.stdin.flush()
    while data := os.read(process.stdout.fileno(), _PIPE):
        show(data)
    process.wait()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the program. The kernel ends the namespaces with it: processes and mounts."""
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):
                stream.close()
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        pass
    finally:
        process.kill()
        process.wait()


def _answer(data: bytes, complaints: str) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = dict(json.loads(data))
    except (ValueError, TypeError, RecursionError) as error:
        last = complaints.splitlines()[-1] if complaints else "it said nothing"
        raise TrialError(f"The trial ended early: {text.printable(last)}") from error
    why = text.printable(str(answer.get("why", "")))
    if answer.get("failure") == "not-allowed":
        raise TrialError(
            f"This system does not let you make the namespaces of a trial: {why}.",
            hint="Linux allows it unless user.max_user_namespaces is 0, a security module forbids it "
            f"(kernel.apparmor_restrict_unprivileged_userns), or this is a container. {_VM_HINT}",
        )
    if "failure" in answer:
        raise TrialError(f"The sandbox of the trial could not be built: {why}")
    return answer


def _environment() -> dict[str, str]:
    """Nothing of the caller's, except what systemd-run needs to find the user's systemd."""
    names = ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
    return {"PATH": "/usr/bin:/bin", **{name: os.environ[name] for name in names if name in os.environ}}


def _scope() -> list[str]:
    """The start of a command line that runs the rest in a delegated cgroup; empty without systemd."""
    program = shutil.which("systemd-run", path="/usr/bin:/bin")
    controllers = Path("/sys/fs/cgroup/cgroup.controllers")
    if program is None or not controllers.is_file() or "memory" not in controllers.read_text().split():
        return []
    user = [] if os.geteuid() == 0 else ["--user"]
    words = [program, *user, "--scope", "--quiet", "--collect", "--property=Delegate=yes", "--"]
    try:
        tried = subprocess.run([*words, "true"], env=_environment(), capture_output=True, timeout=_GRACE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return words if tried.returncode == 0 else []
