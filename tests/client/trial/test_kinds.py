"""Each kind of algorithm runs in the guest's files, and none leaves its sandbox."""

import errno
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from cloister.client.script.algorithm import Program, ProgramFindings
from cloister.client.script.examination import examine
from cloister.client.trial import program
from cloister.client.trial.report import TrialReport
from tests import compiled, oci_archives, wasm_modules
from tests.e2e.sandbox.prison import AS_ROOT, DENIED
from tests.guest_tree import SMALL
from tests.oci_archives import PROGRAM, Entry, Layout, folder, hard, link

LINKED = ((), ("-static",), ("-static-pie",))


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
    errors = list(report.output)

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
    errors = list(report.output)

    assert errors[0] == 0
    assert 0 not in errors[1:]
    assert results(report) == ["done"]


def image(tmp_path: Path, layers: list[list[Entry]], config: dict[str, object], **more: object) -> Path:
    made = oci_archives.simple(layers, config, **more)  # ty: ignore[invalid-argument-type]
    return made.write(tmp_path / "image.tar")


def shown(tmp_path: Path, source: str) -> Entry:
    """A static program of an image."""
    return oci_archives.program("bin/run", compiled.build(source, tmp_path / "run", "-static"))


@pytest.mark.parametrize("compression", list(oci_archives.COMPRESSIONS))
def test_image_runs(allowed: Path, tmp_path: Path, compression: str) -> None:
    mean = oci_archives.program("bin/mean", compiled.build(compiled.MEAN, tmp_path / "mean", "-static"))
    path = image(tmp_path, [[mean]], {"Entrypoint": ["mean"], "WorkingDir": "/work"}, compression=compression)
    report = run(allowed, path, "oci", tmp_path)

    assert report.output == b"3 numbers\n"
    assert (report.outcome, results(report)) == ("OK", ["mean.json"])


def test_folder_of_a_layout_runs(allowed: Path, tmp_path: Path) -> None:
    mean = oci_archives.program("bin/mean", compiled.build(compiled.MEAN, tmp_path / "mean", "-static"))
    layout = oci_archives.simple([[mean]], {"Cmd": ["/bin/mean"], "WorkingDir": "/work"})
    report = run(allowed, layout.unpack(tmp_path / "layout"), "oci", tmp_path)

    assert results(report) == ["mean.json"]


LOOK = """
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
extern char **environ;
int main(int n, char **w) {
  char here[256];
  struct stat at;
  printf("%d:%d %s", getuid(), getgid(), getcwd(here, 256));
  for (w++; *w && strcmp(*w, "--"); w++) printf(" %s", *w);
  for (char **e = environ; *e; e++) printf(" %s", *e);
  puts("");
  for (w++; *w; w++)
    if (lstat(*w, &at)) printf("%s is not there\\n", *w);
    else printf("%s %o %d:%d %ld\\n", *w, at.st_mode, at.st_uid, at.st_gid, (long)at.st_mtime);
  return fclose(fopen("/work/results/x", "w"));
}
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has more than one user in a trial")
@pytest.mark.parametrize("user", ["", "app", "1000:1001", "65534"])
def test_image_says_user_folder_environment_and_arguments(allowed: Path, tmp_path: Path, user: str) -> None:
    layers = [
        [
            folder("app", user=7, group=8, mode=0o750),
            Entry("app/old", b"x", user=7, group=8, mode=0o6640, time=1_600_000_000),
            Entry("gone", b"x"),
            Entry("etc/passwd", b"root:x:0:0::/root:/bin/sh\napp:x:7:8::/app:/bin/sh\n"),
        ],
        [
            shown(tmp_path, LOOK.replace("\\\\n", "\\n")),
            Entry(".wh.gone"),
            hard("app/new", "app/old"),
            link("app/l", "/x"),
        ],
    ]
    config = {
        "Entrypoint": ["/bin/run"],
        "Cmd": ["unused"],
        "Env": ["A=1", "B=2"],
        "User": user,
        "WorkingDir": "/new/place",
    }
    path = image(tmp_path, layers, config)
    args = ["a b", "--", "/app/old", "/app/new", "/app/l", "/gone", "/work/datasets", "/work/results"]
    report = run(allowed, path, "oci", tmp_path, args=args, environment={"B": "3"})
    first, *rest = report.output.decode().splitlines()

    ids, home = {
        "": ("0:0", "/root"),
        "app": ("7:8", "/app"),
        "1000:1001": ("1000:1001", "/"),
        "65534": ("65534:0", "/"),
    }[user]
    search = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert first == f"{ids} /new/place a b PATH={search} HOME={home} A=1 B=3"
    seen = "/app/old is not there", "/app/new is not there", "/app/l is not there"
    if user in ("app",):
        seen = "/app/old 100640 7:8 1600000000", "/app/new 100640 7:8 1600000000", "/app/l 120777 0:0 1700000000"
    assert tuple(rest[:3]) == seen
    assert rest[3] == "/gone is not there"
    assert [line.split()[:3] for line in rest[4:]] == [
        [place, "40755", ids] for place in ("/work/datasets", "/work/results")
    ]
    assert report.outcome == "OK"


def test_dataset_is_unpacked_for_an_image(allowed: Path, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/1.txt").write_text("x")
    source = (
        '#include <stdio.h>\nint main(void) { FILE *f = fopen("datasets/d1/1.txt", "a");\n'
        '  if (!f) perror("datasets/d1/1.txt"); else fputs("y", f);\n  return fclose(fopen("results/x", "w")); }\n'
    )
    path = image(tmp_path, [[shown(tmp_path, source)]], {"Cmd": ["run"], "WorkingDir": "/work", "User": "5:6"})
    report = run(allowed, path, "oci", tmp_path, datasets={"d1": tmp_path / "pictures"}, unpack=["d1"])

    assert (report.output, report.outcome) == (b"", "OK")


def test_image_cannot_leave_its_sandbox(allowed: Path, tmp_path: Path) -> None:
    """As root in the image: the user of most images."""
    escape = oci_archives.program("bin/escape", compiled.build(compiled.ESCAPE, tmp_path / "escape", "-static"))
    layers = [
        [
            folder("etc"),
            Entry("etc/passwd", b"root:x:0:0::/:\n"),
            link("up", "../../../.."),
            link("run/x", "/run/cloister"),
        ],
        [Entry("up/planted", b"x"), Entry("up/up/etc/shadow", b"x"), escape],
    ]
    report = run(allowed, image(tmp_path, layers, {"Cmd": ["escape"], "WorkingDir": "/work"}), "oci", tmp_path)
    found = json.loads(report.output)

    assert report.outcome == "OK"
    assert found == (AS_ROOT if os.geteuid() == 0 else AS_ROOT | {"become root": errno.EPERM, "give away": errno.EPERM})
    assert not Path("/planted").exists()


def test_image_writes_to_its_results_datasets_and_temporary_folders_only(allowed: Path, tmp_path: Path) -> None:
    source = (
        '#include <stdio.h>\nint main(int n, char **w) { while (*++w) { FILE *f = fopen(*w, "w");\n'
        '  printf("%s %s\\n", *w, f ? "written" : "refused"); if (f) fclose(f); } }\n'
    )
    path = image(tmp_path, [[shown(tmp_path, source), folder("data", mode=0o777)]], {"Entrypoint": ["run"]})
    places = ["/work/results/x", "/work/datasets/x", "/tmp/x", "/var/tmp/x", "/run/x", "/dev/shm/x"]
    closed = ["/x", "/data/x", "/bin/run", "/work/x", "/etc/hosts", "/sys/x", "/proc/x"]
    report = run(allowed, path, "oci", tmp_path, args=[*places, *closed])

    assert report.output.decode().splitlines() == [f"{place} written" for place in places] + [
        f"{place} refused" for place in closed
    ]


def test_image_whose_program_the_kernel_refuses_is_a_failed_run(allowed: Path, tmp_path: Path) -> None:
    path = image(tmp_path, [[Entry("bin/run", PROGRAM, mode=0o755)]], {"Entrypoint": ["run"]})
    report = run(allowed, path, "oci", tmp_path)

    assert report.outcome == "EXIT_STATUS"
    assert b"xec" in report.output


def test_another_image_than_the_manifests_is_not_started(allowed: Path, tmp_path: Path) -> None:
    """As on a machine: the launcher compares once more, and says why."""
    path = image(tmp_path, [[Entry("bin/run", PROGRAM, mode=0o755)]], {"Entrypoint": ["run"]})
    other = Layout()
    other.manifests = [
        other.image([oci_archives.tar([Entry("bin/run", PROGRAM + b"y", mode=0o755)])], {"Entrypoint": ["run"]})
    ]
    found = examine(Program(other.write(tmp_path / "other.tar"), {}, {}, kind="oci")).container
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "examine", lambda one: ProgramFindings(container=found))
        report = run(allowed, path, "oci", tmp_path)

    assert report.outcome == "LAUNCH"
    assert b"The algorithm cannot be started: The image is sha256:" in report.output


SKOPEO, UMOCI = shutil.which("skopeo"), shutil.which("umoci")


@pytest.mark.skipif(SKOPEO is None, reason="there is no skopeo")
@pytest.mark.parametrize("form", ["oci-archive", "oci"])
def test_what_skopeo_writes_runs(allowed: Path, tmp_path: Path, form: str) -> None:
    mean = oci_archives.program("bin/mean", compiled.build(compiled.MEAN, tmp_path / "mean", "-static"))
    path = image(tmp_path, [[mean]], {"Entrypoint": ["mean"], "WorkingDir": "/work"})
    words = ["copy", "--quiet", "--insecure-policy", f"oci-archive:{path}", f"{form}:{tmp_path / 'copy'}"]
    subprocess.run([str(SKOPEO), *words], check=True)
    seen = subprocess.run(
        [str(SKOPEO), "inspect", f"{form}:{tmp_path / 'copy'}"], check=True, capture_output=True
    ).stdout
    found = examine(Program(tmp_path / "copy", {}, {}, kind="oci")).container

    assert found is not None
    assert json.loads(seen)["Digest"] == f"sha256:{found.digest}"
    assert results(run(allowed, tmp_path / "copy", "oci", tmp_path)) == ["mean.json"]


@pytest.mark.skipif(UMOCI is None, reason="there is no umoci")
def test_what_umoci_writes_runs(allowed: Path, tmp_path: Path) -> None:
    """A layout that umoci made, with a layer of its own that removes a file."""
    layout, bundle = tmp_path / "layout", tmp_path / "bundle"
    mean = compiled.build(compiled.MEAN, tmp_path / "mean", "-static")

    def umoci(*words: str) -> None:
        subprocess.run([str(UMOCI), *words], check=True, capture_output=True)

    umoci("init", "--layout", str(layout))
    umoci("new", "--image", f"{layout}:one")
    umoci("unpack", "--rootless", "--image", f"{layout}:one", str(bundle))
    (bundle / "rootfs/bin").mkdir()
    (bundle / "rootfs/gone").write_text("x")
    shutil.copy(mean, bundle / "rootfs/bin/mean")
    umoci("repack", "--refresh-bundle", "--image", f"{layout}:one", str(bundle))
    (bundle / "rootfs/gone").unlink()
    umoci("repack", "--image", f"{layout}:one", str(bundle))
    umoci("config", "--image", f"{layout}:one", "--config.entrypoint", "/bin/mean", "--config.workingdir", "/work")

    assert results(run(allowed, layout, "oci", tmp_path)) == ["mean.json"]
