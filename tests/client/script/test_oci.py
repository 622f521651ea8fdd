"""An image that the guest cannot run is refused on the author's machine, with what to do about it."""

import struct
from pathlib import Path

import pytest

from cloister.client.script.algorithm import Program, ProgramFindings
from cloister.client.script.examination import examine
from cloister.errors import InputError
from cloister.protocol.manifest import DeclaredContainer
from tests.image.small_programs import elf_program
from tests.oci_archives import PROGRAM, Entry, Layout, folder, hard, link, simple, tar

RUN = Entry("bin/run", PROGRAM, mode=0o755)
CONFIG = {"Entrypoint": ["run"]}


def found(path: Path, **more) -> ProgramFindings:
    return examine(Program(path, **({"files": {}, "environment": {}, "kind": "oci"} | more)))


def written(tmp_path: Path, layers, config=None, **more) -> Path:
    return simple(layers, CONFIG if config is None else config, **more).write(tmp_path / "image.tar")


REFUSED = {
    "nothing to start": ([[RUN]], {}, "says nothing to start", "ENTRYPOINT"),
    "program that is not there": ([[RUN]], {"Entrypoint": ["/train"]}, "starts /train, which is not", "ENTRYPOINT"),
    "program outside of PATH": ([[RUN]], {"Entrypoint": ["run"], "Env": ["PATH=/opt"]}, "starts run, which is", "PATH"),
    "program that was removed": ([[RUN], [Entry("bin/.wh.run")]], CONFIG, "starts run, which is not", "ENTRYPOINT"),
    "program that is a folder": ([[folder("bin/run")]], CONFIG, "starts run, which is not", "ENTRYPOINT"),
    "program behind a broken link": ([[link("bin/run", "/x")]], CONFIG, "starts run, which is not", "ENTRYPOINT"),
    "program where memory is": ([[Entry("tmp/run", b"x")]], {"Cmd": ["/tmp/run"]}, "starts /tmp/run", "ENTRYPOINT"),
    "user that is not there": ([[RUN]], {**CONFIG, "User": "app"}, "user app is not in its /etc/passwd", "USER 1000"),
    "link where the sandbox has a folder": ([[RUN, link("tmp", "/x")]], CONFIG, "a link at /tmp", "ordinary folder"),
    "file where the sandbox has a folder": ([[RUN, Entry("work", b"x")]], CONFIG, "a link at /work", "folder"),
    "folder where the sandbox has a file": (
        [[RUN, folder("etc/hosts")]], CONFIG, "than a file at /etc/hosts", "leave it"),
    "broken link where the sandbox has a file": (
        [[RUN, link("etc/hosts", "/x")]], CONFIG, "than a file at /etc/hosts", "leave it"),
    "file of another user": ([[Entry("bin/run", user=100_000)]], CONFIG, "belongs to user 100000", "chown"),
    "folder that is below a file": (
        [[RUN, Entry("app")]], {**CONFIG, "WorkingDir": "/app/x"}, "other than a folder at /app/x", "WORKDIR"),
    "folder that is a file": (
        [[RUN, Entry("app")]], {**CONFIG, "WorkingDir": "/app"}, "other than a folder at /app", "WORKDIR"),
    "folder that is a link to a file": (
        [[RUN, Entry("x"), link("app", "x")]], {**CONFIG, "WorkingDir": "/app"}, "than a folder at /app", "WORKDIR"),
    "program without the right to run": (
        [[Entry("bin/run", b"x")]], CONFIG, "its user 0 may not execute: /bin/run does not", "--chmod=755"),
    "program of another user": (
        [[Entry("bin/run", PROGRAM, mode=0o700)]], {**CONFIG, "User": "5"}, "its user 5 may not execute", "--chmod"),
    "program of a user who is not root": (
        [[Entry("bin/run", PROGRAM, mode=0o700, user=5)]], CONFIG, "its user 0 may not execute", "Root, too"),
    "program in a closed folder": (
        [[folder("root", mode=0o700), Entry("root/run", PROGRAM, mode=0o755)]], {"Cmd": ["/root/run"], "User": "5"},
        "may not execute: /root does not let it", "--chmod=755"),
    "program in a folder that another group may search": (
        [[folder("opt", mode=0o705, group=5), Entry("opt/run", PROGRAM, mode=0o755)]],
        {"Cmd": ["/opt/run"], "User": "7:5"}, "/opt does not let it", "--chmod=755"),
}  # fmt: skip


def started(*content: bytes, **config) -> tuple:
    """Programs: /bin/run, and the others as /bin/1 and so on."""
    names = ["run", *map(str, range(1, len(content)))]
    return [[Entry(f"bin/{name}", data, mode=0o755) for name, data in zip(names, content, strict=True)]], {
        **CONFIG,
        **config,
    }


def header(**changes) -> bytes:
    """A header of a program, with other values at some places."""
    data = bytearray(PROGRAM)
    for place, value in changes.items():
        data[int(place[1:])] = value
    return bytes(data)


def linked(linker: bytes) -> bytes:
    """A program that names its dynamic linker."""
    named = struct.pack("<IIQQQQQQ", 3, 4, 120, 0, 0, len(linker) + 1, len(linker) + 1, 1)
    return header(_56=1) + named + linker + b"\0"


def needing(
    names: tuple[str, ...], *there: str, linker: str = "lib/ld.so", folders: str = "", before: int = 0
) -> tuple[list[list[Entry]], dict[str, object]]:
    """An image whose program needs libraries; ``there`` are files of the image."""
    program = elf_program(names, before=before, linker=f"/{linker}", folders=folders)
    files = [Entry(name, PROGRAM, mode=0o755) for name in (linker, *there)]
    return [[Entry("bin/run", program, mode=0o755), *files]], CONFIG


def with_libraries(*layers: dict[str, bytes], linker: str = "lib/ld.so") -> tuple[list[list[Entry]], dict[str, object]]:
    """An image whose program needs liba.so, with libraries in further layers."""
    made = [[Entry(f"lib/{name}", data, mode=0o755) for name, data in layer.items()] for layer in layers]
    return [*needing(("liba.so",), linker=linker)[0], *made], CONFIG


UNSTARTABLE = {
    "an empty file": (started(b""), "starts /bin/run, which is empty", "#!/bin/sh"),
    "text": (started(b"echo hi\n"), "neither a program (ELF) nor a script", "#!/bin/sh"),
    "a text with a mark of its encoding": (started(b"\xef\xbb\xbf#!/bin/1\n", PROGRAM), "nor a script", "#!"),
    "a Windows program": (started(b"MZ" + bytes(100)), "neither a program (ELF)", "x86-64"),
    "a WebAssembly module": (started(b"\0asm\1\0\0\0"), "neither a program (ELF)", "x86-64"),
    "a program for ARM": (started(header(_18=183)), "not a program for x86-64", "--platform linux/amd64"),
    "a 32-bit program": (started(header(_4=1, _18=3)), "not a program for x86-64", "GOARCH=amd64"),
    "a program for another byte order": (started(header(_5=2)), "not a program for x86-64", "amd64"),
    "an object file": (started(header(_16=1)), "another ELF file", "compile"),
    "the beginning of a program": (started(PROGRAM[:40]), "which is damaged", "compile"),
    "a program without its linker": (
        started(linked(b"/lib64/ld-linux-x86-64.so.2")), "needs the dynamic linker /lib64/ld-linux-x86-64.so.2; that",
        "statically"),
    "a program of another C library": (
        ([[Entry("bin/run", linked(b"/lib/ld-musl-x86_64.so.1"), mode=0o755),
           Entry("lib64/ld-linux-x86-64.so.2", PROGRAM, mode=0o755)]], CONFIG),
        "dynamic linker /lib/ld-musl-x86_64.so.1", "Alpine"),
    "a program without its linker, which it names at its end": (
        ([needing((), before=1 << 21)[0][0][:1]], CONFIG), "needs the dynamic linker /lib/ld.so; that", "statically"),
    "a program without its library": (
        needing(("libx.so.1", "libc.so.6"), "usr/lib/libc.so.6"),
        "needs a library that the image does not have: libx.so.1.", "in the last one"),
    "a program without many libraries": (
        needing(tuple(f"lib{number}.so" for number in range(6))),
        "needs libraries that the image does not have: lib0.so, lib1.so, lib2.so, lib3.so and 2 more.", "`ldd`"),
    "a program whose library is a folder": (needing(("libx.so.1",), "lib/libx.so.1/a"), "have: libx.so.1.", "ldd"),
    "a library without its library": (
        with_libraries({"liba.so": elf_program(["libb.so", "libc.so.6"]), "libc.so.6": elf_program([])}),
        "starts /bin/run, which needs liba.so; that needs a library that the image does not have: libb.so.", "`ldd`"),
    "a library of a library without its libraries, in other layers": (
        with_libraries({"libb.so": elf_program(["libc.so", "libd.so"])}, {"liba.so": elf_program(["libb.so"])}),
        "which needs libb.so; that needs libraries that the image does not have: libc.so, libd.so.", "last one"),
    "a library behind a link without its library": (
        ([[*needing(("liba.so",))[0][0], Entry("opt/a", elf_program(["libb.so"])), link("lib/liba.so", "../opt/a")]],
         CONFIG), "which needs liba.so; that needs a library that the image does not have: libb.so.", "ldd"),
    "two files of one library without the same library": (
        with_libraries({"liba.so": elf_program(["libx.so", "libb.so"]), "2/liba.so": elf_program(["libb.so"])}),
        "needs liba.so; that needs a library that the image does not have: libb.so.", "ldd"),
    "a program whose library the sandbox hides": (
        needing(("libx.so.1",), "tmp/libx.so.1", "work/lib/libx.so.1"), "does not have: libx.so.1.", "ldd"),
    "a script whose interpreter needs a library": (
        ([[Entry("bin/run", b"#!/bin/sh\n", mode=0o755),
           Entry("bin/sh", elf_program(["libx.so.1"], linker="/lib/ld.so"), mode=0o755),
           Entry("lib/ld.so", PROGRAM, mode=0o755)]], CONFIG), "starts /bin/sh, which needs a library", "ldd"),
    "a script without its shell": (started(b"#!/bin/sh\necho\n"), "script for /bin/sh, which is not in it", "Install"),
    "a script whose shell has arguments": (started(b"#! \t/bin/sh  -e\n"), "a script for /bin/sh, which", "Install"),
    "a script for env without env": (started(b"#!/usr/bin/env sh\n"), "a script for /usr/bin/env, which", "Install"),
    "a script for what env does not find": (
        ([[Entry("bin/run", b"#!/bin/env python3\n", mode=0o755), Entry("bin/env", PROGRAM, mode=0o755)]], CONFIG),
        "a script for python3, which is not in it", "Install"),
    "a script with Windows line endings": (
        started(b"#!/bin/1\r\necho\r\n", PROGRAM), "line endings of Windows: it asks for /bin/1\\r", "sed -i"),
    "a script for env with Windows line endings": (
        started(b"#!/bin/1 python3\r\n", PROGRAM), "line endings of Windows: it asks for python3\\r", "sed -i"),
    "a script without an interpreter": (started(b"#!\necho\n"), "a script without an interpreter", "Install"),
    "a script whose interpreter is a script for nothing": (
        started(b"#!/bin/1\n", b"#!/bin/2\n"), "starts /bin/1, a script for /bin/2, which is not in it", "Install"),
    "scripts in a circle": (started(b"#!/bin/1\n", b"#!/bin/run\n"), "and so on", "Install"),
    "one of the algorithm's files": (
        ([[RUN]], {"Cmd": ["/work/train.sh"]}), "/work/train.sh cannot be started: no file in /work", "[sh, /work/"),
    "one of the algorithm's files, by a path from the working folder": (
        ([[RUN]], {"Cmd": ["./train.sh"], "WorkingDir": "/work"}), "/work/train.sh cannot be started", "COPY"),
    "a script for one of the algorithm's files": (started(b"#!/work/shell\n"), "/work/shell cannot be", "COPY"),
    "a shell that its user may not execute": (
        ([[Entry("bin/run", b"#!/bin/sh\n", mode=0o755), Entry("bin/sh", PROGRAM, mode=0o700)]], {
            **CONFIG, "User": "5"}), "a script for /bin/sh, which its user 5 may not execute", "Install"),
}  # fmt: skip


@pytest.mark.parametrize("case", list(UNSTARTABLE))
def test_program_that_the_kernel_cannot_start_is_refused(tmp_path: Path, case: str) -> None:
    (layers, config), said, remedy = UNSTARTABLE[case]
    with pytest.raises(InputError) as caught:
        found(written(tmp_path, layers, config))

    assert said in caught.value.message
    assert remedy in caught.value.hint
    assert caught.value.message.isprintable()


def test_files_that_the_working_folder_hides_are_a_warning(tmp_path: Path) -> None:
    """`WORKDIR /work` and `COPY train.py .`, as for every other machine."""
    layers = [[RUN, folder("work/results"), Entry("work/a/b"), Entry("work/train.py"), Entry("work/gone")]]
    (warning,) = found(written(tmp_path, [*layers, [Entry("work/.wh.gone")]])).warnings
    assert "has /work/train.py, /work/a/b, which the run does not see" in warning
    assert "/app" in warning

    (many,) = found(written(tmp_path, [[RUN, *(Entry(f"work/{number}") for number in range(6))]])).warnings
    assert "and more, which the run does not see" in many


@pytest.mark.parametrize("case", list(REFUSED))
def test_what_the_guest_cannot_run_is_refused(tmp_path: Path, case: str) -> None:
    layers, config, said, remedy = REFUSED[case]
    with pytest.raises(InputError) as caught:
        found(written(tmp_path, layers, config))

    assert caught.value.message.startswith("image.tar cannot be run. ")
    assert said in caught.value.message
    assert remedy in caught.value.hint
    assert caught.value.exit_code == 2


STARTED = {
    "by its path": ([[RUN]], {"Cmd": ["/bin/run"]}),
    "by PATH": ([[RUN]], CONFIG),
    "from its folder": ([[Entry("app/run", PROGRAM, mode=0o755)]], {"Entrypoint": ["./run"], "WorkingDir": "/app"}),
    "behind links": ([[Entry("usr/bin/run", PROGRAM, mode=0o755), link("bin", "usr/bin")]], {"Cmd": ["/bin/run"]}),
    "by a name of its own": ([[link("bin/run", "../opt/x"), Entry("opt/x", PROGRAM, mode=0o755)]], CONFIG),
    "after one in PATH that may not be run": ([[Entry("usr/bin/run", b"x"), RUN]], CONFIG),
    "by its owner only": ([[Entry("bin/run", PROGRAM, mode=0o500, user=5)]], {**CONFIG, "User": "5"}),
    "by a group of its user": (
        [[Entry("bin/run", PROGRAM, mode=0o710, group=9), Entry("etc/passwd", b"app:x:5:6::/:\n"),
          Entry("etc/group", b"data:x:9:app\n")]], {**CONFIG, "User": "app"}),
    "by another name of the file": ([[Entry("opt/x", PROGRAM, mode=0o755), hard("bin/run", "opt/x")]], CONFIG),
    "with its own hosts": ([[RUN, link("etc/hosts", "h"), Entry("etc/h")]], CONFIG),
    "with /etc elsewhere": ([[RUN, folder("data/etc"), link("etc", "data/etc")]], CONFIG),
    "linked": (
        [[Entry("bin/run", linked(b"/lib/ld.so"), mode=0o755), link("lib", "usr/lib"),
          Entry("usr/lib/ld.so", PROGRAM, mode=0o755)]], CONFIG),
    "whose linker is named at its end": (needing((), before=1 << 21)),
    "whose library is in another folder": (needing(("libx.so.1",), "opt/lib/libx.so.1")),
    "whose library is a link": ([[*needing(("libx.so.1",))[0][0], link("lib/libx.so.1", "libx.so.1.2")]], CONFIG),
    "with a library of its own folder": (needing(("libx.so.1",), "app/libx.so.1", folders="$ORIGIN/../app")),
    "with names that are musl's own": (
        needing(("libc.musl-x86_64.so.1", "libpthread.so.0", "libm.so.6"), linker="lib/ld-musl-x86_64.so.1")),
    "with a library among the algorithm's files": (
        (needing(("libx.so.1",))[0], {**CONFIG, "Env": ["PATH=/usr/bin:/bin", "LD_LIBRARY_PATH=/usr/lib:/work/lib"]})),
    "with a library in a working folder that is mounted": (
        (needing(("libx.so.1",))[0], {**CONFIG, "Env": ["PATH=/bin", "LD_LIBRARY_PATH=lib"], "WorkingDir": "/work"})),
    "whose linker searches the files of the algorithm": (needing(("libx.so.1",), folders="/opt:/work/lib")),
    "with a library named by its path": (needing(("/opt/libx.so.1",))),
    "with libraries that need each other": (
        with_libraries({"liba.so": elf_program(["libb.so"])}, {"libb.so": elf_program(["liba.so"])})),
    "with a library that is known by the name in another": (
        with_libraries({"liba.so": elf_program(["libb-1.so", "libb.so"]), "libb-1.so": elf_program([], "libb.so")})),
    "with two files of one library, one of which needs more": (
        with_libraries({"liba.so": elf_program(["libx.so"]), "2/liba.so": elf_program([])})),
    "with two files of one library, the other of which needs more": (
        with_libraries({"liba.so": elf_program([]), "2/liba.so": elf_program(["libx.so"])})),
    "with many files of one library": (
        with_libraries({f"{number}/liba.so": elf_program(["libx.so"]) for number in range(5)})),
    "with a library that is none": (with_libraries({"liba.so": b"INPUT(libx.so)"})),
    "with a damaged library": (with_libraries({"liba.so": elf_program(["libx.so"])[:200]})),
    "with a library for another processor": (
        with_libraries({"liba.so": elf_program(["libx.so"]).replace(b"\x3e\0\1\0", b"\xb7\0\1\0", 1)})),
    "with a library that searches the files of the algorithm": (
        with_libraries({"liba.so": elf_program(["libx.so"], folders="/work/lib")})),
    "with a library that needs musl's own names": (
        with_libraries({"liba.so": elf_program(["libpthread.so.0"])}, linker="lib/ld-musl-x86_64.so.1")),
    "a script": (started(b"#!/bin/1 -e\nexec train\n", PROGRAM)),
    "a script without an end of line": (started(b"#!/bin/1", PROGRAM)),
    "a script for a script": (started(b"#!/bin/1\n", b"#!/bin/2\n", PROGRAM)),
    "a script for env": (
        [[Entry("bin/run", b"#!/usr/bin/env -S sh -e\n", mode=0o755), Entry("usr/bin/env", PROGRAM, mode=0o755)]],
        CONFIG),
    "by a shell": ([[Entry("bin/sh", PROGRAM, mode=0o755)]], {"Entrypoint": ["/bin/sh", "-c", "exec train $0"]}),
    "from a folder that is not there": ([[RUN]], {**CONFIG, "WorkingDir": "/new/place"}),
    "from a folder behind a link": ([[RUN, folder("srv"), link("app", "/srv")]], {**CONFIG, "WorkingDir": "/app/x"}),
    "in the last of three layers, two of them empty": ([[], [], [RUN]], CONFIG),
    "users in a file of another name": (
        [[RUN, link("etc/passwd", "/nix/users"), Entry("nix/users", b"app:x:5:6::/:\n")]], {**CONFIG, "User": "app"}),
    "users in a file with several names": (
        [[RUN, Entry("nix/a", b"app:x:5:6::/:\n"), hard("nix/b", "nix/a"), hard("etc/passwd", "nix/b")]],
        {**CONFIG, "User": "app"}),
    "users of a later layer": (
        [[RUN, Entry("etc/passwd", b"app:x:5:6::/:\n")], [Entry("etc/passwd", b"web:x:5:6::/:\n")]],
        {**CONFIG, "User": "web"}),
    "users after many files of their name": (
        [[RUN, *(Entry(f"{number}/passwd") for number in range(70)), Entry("etc/passwd", b"app:x:5:6::/:\n")]],
        {**CONFIG, "User": "app"}),
    "users behind a link": (
        [[RUN, link("etc/passwd", "/nix/passwd"), Entry("nix/passwd", b"app:x:5:6::/:\n")]], {**CONFIG, "User": "app"}),
}  # fmt: skip


@pytest.mark.parametrize("case", list(STARTED))
def test_what_the_guest_can_run_is_accepted(tmp_path: Path, case: str) -> None:
    layers, config = STARTED[case]

    assert found(written(tmp_path, layers, config)).warnings == ()


WORDS = {"/work/train.py": True, "/work/lib/a.py": True, "/work/./x": True, "/work/lib": False, "/work/lib/": False,
         "/work/datasets/d": False, "/work/results": False, "/work/": False, "/work": False, "/work/conf.ini": False,
         "/app/train.py": False, "train.py": False, "--data=/work/x": False}  # fmt: skip


@pytest.mark.parametrize("word", list(WORDS))
def test_file_of_the_command_that_is_not_in_the_working_folder_is_a_warning(tmp_path: Path, word: str) -> None:
    path = written(tmp_path, [[RUN]], {"Cmd": ["run", word]})
    warnings = found(path, files={"lib/b.py": None, "conf.ini": None}).warnings

    assert [f"started with {word}, which is not one" in one for one in warnings] == [True] * WORDS[word]


def test_arguments_count_as_in_the_machine(tmp_path: Path) -> None:
    path = written(tmp_path, [[RUN]], {"Cmd": ["unused"]})
    with pytest.raises(InputError, match="starts unused"):
        found(path)

    assert found(path, args=("run",)).container == found(path, args=("/bin/run", "1")).container


def test_folder_of_a_layout_has_the_same_image_as_its_archive(tmp_path: Path) -> None:
    layout = simple([[RUN]], CONFIG)

    assert found(layout.unpack(tmp_path / "layout")) == found(layout.write(tmp_path / "image.tar"))


def test_what_works_elsewhere_and_not_here_is_a_warning(tmp_path: Path) -> None:
    layout = Layout()
    data = tar([RUN, Entry("dev/sda", kind=b"4")])
    layout.manifests = [layout.image([data], {**CONFIG, "Volumes": {"/data": {}}})]
    volume, device = found(layout.write(tmp_path / "image.tar")).warnings

    assert "declares the volume /data, which is read-only here" in volume
    assert "1 device files, which are left out" in device


def test_image_that_was_not_agreed_on_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, [[RUN]])
    agreed = found(path).container
    assert agreed is not None

    assert found(path, container=agreed).container == agreed
    for other in (DeclaredContainer("0" * 64, agreed.unpacked_size), DeclaredContainer(agreed.digest, 1)):
        with pytest.raises(InputError, match="the manifest has sha256"):
            found(path, container=other)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"\x7fELF" + bytes(600), "It is a compiled program"), (b"", "not a tar"), (b"FROM scratch\n", "not a tar")],
)
def test_other_files_are_named(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "image.tar").write_bytes(content)
    with pytest.raises(InputError) as caught:
        found(tmp_path / "image.tar")

    assert said in caught.value.message
    assert "docker save" in caught.value.hint
