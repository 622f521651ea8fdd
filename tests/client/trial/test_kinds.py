"""Each kind of algorithm runs in the guest's files, and none leaves its sandbox."""

import errno
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from cloister.client.trial import program
from cloister.client.trial.report import TrialReport
from tests import compiled
from tests.guest_tree import SMALL

LINKED = ((), ("-static",), ("-static-pie",))
DENIED = {
    "network": errno.ENETUNREACH,
    "metadata": errno.ENETUNREACH,
    "packets": errno.ENOSYS,
    "mount": errno.ENOSYS,
    "remount": errno.ENOSYS,
    "namespace": errno.ENOSYS,
    "chroot": errno.ENOSYS,
    "trace": errno.ENOSYS,
    "device": errno.ENOSYS,
    "become root": errno.EPERM,
    "give away": errno.EPERM,
    "write /": errno.EROFS,
    "write /etc/passwd": errno.EACCES,
    "write /work": errno.EROFS,
    "write the program": errno.EACCES,
    "write /proc": errno.EACCES,
    "read the agent's files": errno.ENOENT,
    "read outside": errno.ENOENT,
    "read the TPM": errno.ENOENT,
}
"""What escape.c finds."""


def run(tree: Path, path: Path, kind: str, folder: Path, **options: object) -> TrialReport:
    """A trial of one algorithm on two datasets."""
    datasets = {}
    for name, numbers in (("h1", "1\n2\n"), ("h2", "6\n")):
        datasets[name] = folder / f"{name}.csv"
        datasets[name].write_text(numbers)
    given = {"limits": SMALL, "datasets": datasets} | options
    return program.run(tree, path, kind=kind, **given)  # ty: ignore[invalid-argument-type]


def results(report: TrialReport) -> Sequence[str]:
    return [file.name for file in report.results]


@pytest.mark.parametrize("options", LINKED)
def test_compiled_program_runs(allowed: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    path = compiled.build(compiled.MEAN, tmp_path / "mean", *options)
    path.chmod(0o644)
    report = run(allowed, path, "binary", tmp_path)

    assert report.output == b"3 numbers\n"
    assert (report.outcome, results(report)) == ("OK", ["mean.json"])


def test_compiled_program_gets_its_arguments_and_environment_and_nothing_else(allowed: Path, tmp_path: Path) -> None:
    source = (
        "#include <stdio.h>\nextern char **environ;\nint main(int n, char **w) {\n"
        "  for (; *w; w++) puts(*w);\n  for (char **e = environ; *e; e++) puts(*e);\n"
        '  return fclose(fopen("results/x", "w")); }\n'
    )
    path = compiled.build(source, tmp_path / "show")
    report = run(allowed, path, "binary", tmp_path, args=["--a", "b c"], environment={"MINE": "1"})

    words = ["/work/show", "--a", "b c", "HOME=/tmp", "LANG=C.UTF-8", "MINE=1", "PATH=/usr/bin"]
    assert report.output.decode().splitlines() == words


@pytest.mark.parametrize("options", LINKED[:2])
def test_compiled_program_cannot_leave_its_sandbox(allowed: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    report = run(allowed, compiled.build(compiled.ESCAPE, tmp_path / "escape", *options), "binary", tmp_path)

    assert json.loads(report.output) == DENIED


def test_program_that_the_kernel_refuses_is_a_failed_launch(allowed: Path, tmp_path: Path) -> None:
    path = tmp_path / "program"
    path.write_bytes(b"\x7fELF" + bytes(100))
    report = run(allowed, path, "binary", tmp_path)

    assert report.output == b"The algorithm cannot be started: Exec format error\n"
