"""Each kind of algorithm runs in the guest's files, and none leaves its sandbox."""

import errno
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from cloister.client.trial import program
from cloister.client.trial.report import TrialReport
from tests import compiled, wasm_modules
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


def module(tmp_path: Path, text: str) -> Path:
    return wasm_modules.assemble(text, tmp_path / "train.wasm")


def test_module_reads_datasets_and_writes_results(allowed: Path, tmp_path: Path) -> None:
    report = run(allowed, module(tmp_path, wasm_modules.copying()), "wasm", tmp_path)

    assert report.output == b"1\n2\n"
    assert (report.outcome, results(report)) == ("OK", ["copy.csv"])


def test_module_gets_its_arguments_and_the_manifests_environment_only(allowed: Path, tmp_path: Path) -> None:
    def printed(kind: str, place: int) -> str:
        return (
            f"(drop (call ${kind}_sizes_get (i32.const 0) (i32.const 4)))\n"
            f"(drop (call ${kind}_get (i32.const 1024) (i32.const {place})))\n"
            "(local.set $size (i32.load (i32.const 4)))\n" + wasm_modules.print_bytes(place, "(local.get $size)")
        )

    text = wasm_modules.command(printed("args", 4096) + printed("environ", 8192), locals="(local $size i32)")
    report = run(
        allowed, module(tmp_path, text), "wasm", tmp_path, args=["--a", "b c"], environment={"LD_PRELOAD": "/x.so"}
    )

    assert report.output.startswith(b"train.wasm\0--a\0b c\0LD_PRELOAD=/x.so\0\n")


BADF, INVAL, NOENT, NOTSUP, PERM, NOTCAPABLE, EXIST, NOTSOCK = 8, 28, 44, 58, 63, 76, 20, 57


def test_module_cannot_leave_its_folders(allowed: Path, tmp_path: Path) -> None:
    paths = ["../x", "../../etc/passwd", "/etc/passwd", "a/../../../etc/passwd", "out/etc/passwd", "../results/x"]
    link = wasm_modules.text(30_000, "/") + wasm_modules.text(30_010, "out")
    calls = [
        (link, "(call $path_symlink (i32.const 30000) (i32.const 1) (i32.const 3) (i32.const 30010) (i32.const 3))")
    ]
    calls += [wasm_modules.opening(3, path, 1000 + 100 * number) for number, path in enumerate(paths)]
    calls += [wasm_modules.opening(folder, "x", 2000 + 100 * folder) for folder in (0, 1, 2, 5, 6, 100)]
    calls += [("", "(call $sock_accept (i32.const 3) (i32.const 0) (i32.const 16))")]
    report = run(allowed, module(tmp_path, wasm_modules.attempts(calls)), "wasm", tmp_path)
    errors = [letter - 65 for letter in report.output]

    assert report.outcome == "OK"
    assert len(errors) == len(calls)
    assert 0 not in errors[:1] + errors[1:]
    assert set(errors[1:7]) <= {PERM, NOTCAPABLE, NOENT}
    assert set(errors[7:13]) <= {BADF, 54}
    assert results(report) == ["done"]


@pytest.mark.parametrize(
    ("body", "outcome", "said"),
    [
        ("(call $proc_exit (i32.const 0))", "NO_RESULT", ""),
        ("(call $proc_exit (i32.const 3))", "EXIT_STATUS", ""),
        ("(call $proc_exit (i32.const 126))", "EXIT_STATUS", "an exit status greater than 125"),
        ("(call $proc_exit (i32.const -1))", "EXIT_STATUS", "an exit status greater than 125"),
        ("unreachable", "EXIT_STATUS", "unreachable"),
        ("(loop $l (br $l))", "TIME_LIMIT", ""),
        # A wait in the host, which neither fuel nor an epoch ends: one clock subscription far in the future.
        (
            "(i32.store8 (i32.const 8) (i32.const 0)) (i32.store (i32.const 16) (i32.const 1))"
            "(i64.store (i32.const 24) (i64.const 0x7fffffffffffffff))"
            "(drop (call $poll_oneoff (i32.const 0) (i32.const 1024) (i32.const 1) (i32.const 2048)))",
            "TIME_LIMIT",
            "",
        ),
    ],
)
def test_end_of_a_module_is_that_of_a_program(
    allowed: Path, tmp_path: Path, body: str, outcome: str, said: str
) -> None:
    limits = SMALL if outcome != "TIME_LIMIT" else replace(SMALL, time=2)
    report = run(allowed, module(tmp_path, wasm_modules.command(body)), "wasm", tmp_path, limits=limits)

    assert report.outcome == outcome
    assert said in report.output.decode()


def test_memory_of_a_module_counts(allowed: Path, tmp_path: Path) -> None:
    fill = "(memory.fill (i32.const 0) (i32.const 1) (i32.const 402653184))"
    report = run(allowed, module(tmp_path, wasm_modules.command(fill, pages=6144)), "wasm", tmp_path)

    assert report.outcome == "MEMORY_LIMIT"


OFF = {
    "threads": '(module (memory (export "memory") 1 1 shared) (func (export "_start")))',
    "memory64": '(module (memory (export "memory") i64 1) (func (export "_start")))',
    "exceptions": '(module (tag $e) (memory (export "memory") 1) (func (export "_start") (throw $e)))',
    "gc": '(module (type (struct)) (memory (export "memory") 1) (func (export "_start")))',
    "several memories": '(module (memory (export "memory") 1) (memory 1) (func (export "_start")))',
    "wide arithmetic": '(module (memory (export "memory") 1) (func (export "_start") (drop (drop (i64.add128'
    " (i64.const 1) (i64.const 1) (i64.const 1) (i64.const 1))))))",
    "tail calls": '(module (memory (export "memory") 1) (func $f (export "_start") (return_call $f)))',
}


@pytest.mark.parametrize("name", list(OFF))
def test_features_that_are_off_are_refused(allowed: Path, tmp_path: Path, name: str) -> None:
    text = OFF[name].replace("(drop (drop (i64", "(i64").replace("(i64.const 1))))))", "(i64.const 1)) drop drop))")
    report = run(allowed, module(tmp_path, text), "wasm", tmp_path)

    assert report.outcome == "EXIT_STATUS"
    assert "The WebAssembly module failed" in report.output.decode()


def test_files_of_the_algorithm_are_read_only_for_a_module(allowed: Path, tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_text("w")
    calls = [
        wasm_modules.opening(3, "data/weights.bin", 1000),
        wasm_modules.opening(3, "data/weights.bin", 2000, write=True),
        wasm_modules.opening(3, "data/new", 3000, create=True, write=True),
    ]
    text = wasm_modules.attempts(calls).replace("(call $path_open (i32.const 4)", "(call $path_open (i32.const 5)")
    files = {"data/weights.bin": tmp_path / "weights.bin"}
    report = run(allowed, module(tmp_path, text), "wasm", tmp_path, files=files)
    errors = [letter - 65 for letter in report.output]

    assert errors[0] == 0
    assert 0 not in errors[1:]
    assert results(report) == ["done"]
