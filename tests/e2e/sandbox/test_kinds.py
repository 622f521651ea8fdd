"""Each kind but python on a booted machine: it reads a dataset, gives a result, and cannot leave its sandbox.

Trials show the rest (tests/client/trial/test_kinds.py). Here the runner is root: it makes programs executable, layers
datasets for the users of images, and limits both sandboxes of an image by cgroups. The machine has a scratch disk, for
what is larger than 1 MiB.
"""

import errno
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cloister.client.computation.asset import describe_asset
from cloister.client.computation.lifecycle import request_reset, wait_for_restart
from cloister.client.connection.connection import Connection
from cloister.client.connection.opening import Target
from cloister.protocol.events import State
from infra.configuration.image import Image
from tests import compiled, oci_archives, wasm_modules
from tests.client.parties import Parties
from tests.e2e.sandbox.prison import AS_ROOT, ON_MACHINE
from tests.e2e.sandbox.test_sandbox import run
from tests.e2e.workspace import RunningWorkspace
from tests.oci_archives import Entry, folder, hard, link

pytestmark = [pytest.mark.vm, pytest.mark.kinds]


@pytest.fixture(scope="module")
def workspace(base_image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorkspace]:
    running = RunningWorkspace.create(tmp_path_factory.mktemp("workspace"), base_image, scratch="8GiB")
    with running.destroyed_at_end():
        yield running


@pytest.fixture(scope="module")
def parties(workspace: RunningWorkspace) -> Parties:
    """With a dataset that is on the scratch disk, and one in memory."""
    found = workspace.parties
    found.edit("max: 4KiB", "max: 64KiB")
    small = describe_asset(found.files["h1"])
    found.files["h1"].write_bytes(b"1,2\n" * 500_000)
    large = describe_asset(found.files["h1"])
    found.edit(str(small.digest), str(large.digest))
    found.edit(f"size: {small.size}\n  - ", f"size: {large.size}\n  - ")
    return found


def binary(path: Path, folder: Path) -> dict[str, int]:
    compiled.build(compiled.ESCAPE, path, "-static")
    return ON_MACHINE


def wasm(path: Path, folder: Path) -> bytes:
    calls = [wasm_modules.opening(3, name, 1000 + 100 * number) for number, name in enumerate(("h1.csv", "../x"))]
    calls += [wasm_modules.opening(0, "x", 2000), wasm_modules.opening(3, "/etc/passwd", 3000)]
    wasm_modules.assemble(wasm_modules.attempts(calls), path)
    # What WASI says: success, EPERM for a path above the folder, EBADF for what is not a folder, EPERM.
    return bytes([0, 63, 8, 63])


def oci(path: Path, place: Path) -> dict[str, int]:
    escape = oci_archives.program("bin/escape", compiled.build(compiled.ESCAPE, place / "escape", "-static"))
    layers = [
        [folder("etc"), Entry("etc/passwd", b"root:x:0:0::/:\n"), link("up", "../../../.."), Entry("gone", b"x")],
        [Entry("up/planted", b"x"), Entry(".wh.gone"), escape],
    ]
    config = {"Entrypoint": ["escape"], "WorkingDir": "/work"}
    oci_archives.simple(layers, config, compression="+zstd").write(path)
    return AS_ROOT


WRITES = r"""
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
static void try(const char *path, int flags) {
    int file = open(path, flags, 0644);
    printf("\"%s\": %d, ", path, file < 0 || write(file, "x", 1) < 0 ? errno : 0);
}
int main(void) {
    char line[4096], kind[64] = "";
    struct stat at;
    FILE *mounts = fopen("/proc/self/mountinfo", "r");
    while (fgets(line, sizeof line, mounts))
        if (strstr(line, " / / ") || strstr(line, "/root / "))
            sscanf(strstr(line, " - "), " - %63s", kind);
    printf("{\"root\": \"%s\", \"user\": \"%d:%d\", ", kind, getuid(), getgid());
    stat("/data/own", &at);
    printf("\"own\": \"%o %d:%d %d\", ", at.st_mode, at.st_uid, at.st_gid, (int)at.st_nlink);
    try("datasets/h1.csv", O_WRONLY | O_APPEND);
    try("datasets/h2.csv", O_WRONLY | O_APPEND);
    try("datasets/new", O_WRONLY | O_CREAT);
    try("results/new", O_WRONLY | O_CREAT);
    try("/data/own", O_WRONLY);
    try("/data/new", O_WRONLY | O_CREAT);
    printf("\"remove\": %d}\n", unlink("datasets/h1.csv"));
    return 0;
}
"""


def oci_on_disk(path: Path, place: Path) -> dict[str, object]:
    """An image of more than 1 MiB, for a user other than that of the other kinds."""
    writes = oci_archives.program("bin/run", compiled.build(WRITES, place / "writes", "-static"))
    large = Entry("data/large", random.Random(1).randbytes(3 << 20))
    layers = [[large, Entry("gone", bytes(1 << 20))], [writes, Entry("data/own", b"x", user=33, group=34)]]
    config = {"Entrypoint": ["run"], "WorkingDir": "/work", "User": "33:34"}
    oci_archives.simple([*layers, [Entry(".wh.gone"), hard("data/same", "data/own")]], config).write(path)
    written = dict.fromkeys(("datasets/h1.csv", "datasets/h2.csv", "datasets/new", "results/new", "remove"), 0)
    closed = dict.fromkeys(("/data/own", "/data/new"), errno.EROFS)
    return {"root": "erofs", "user": "33:34", "own": "100644 33:34 2", **written, **closed}


@pytest.mark.parametrize("make", [binary, wasm, oci, oci_on_disk], ids=lambda make: make.__name__)
def test_kind_gives_a_result_and_cannot_leave_its_sandbox(
    parties: Parties, target: Target, tmp_path: Path, make: Callable[[Path, Path], object]
) -> None:
    lab = parties.keys["lab"]
    with Connection(target, lab) as before:
        if before.session().status().state != State.IDLE:
            old = request_reset(before)
            wait_for_restart(target, old)
    expected = make(parties.files["algorithm"], tmp_path)
    written = (parties.folder / "manifest.yaml").read_text()
    kind = next(line for line in written.splitlines() if line.startswith("  kind: "))
    parties.edit(kind, f"  kind: {make.__name__.partition('_')[0]}")
    event, printed = run(parties, target)

    assert event.state is State.CONSUMING, (event.detail, printed)
    assert (json.loads(printed) if isinstance(expected, dict) else printed) == expected
