"""A module that the guest's wasmtime cannot start is refused on the author's machine, with what to do about it."""

from pathlib import Path

import pytest
import wasmtime

from cloister.client.script.algorithm import Program
from cloister.client.script.examination import examine
from cloister.client.script.wasm import FUNCTIONS
from cloister.errors import InputError
from cloister.protocol import wasm
from tests import wasm_modules

MEMORY = '(memory (export "memory") 1)'
START = '(func (export "_start"))'
PREVIEW_1 = "wasi_snapshot_preview1"


def module(*parts: str) -> bytes:
    return bytes(wasmtime.wat2wasm(f"(module {' '.join(parts)})"))


def importing(host: str, name: str, what: str = "(func)") -> bytes:
    return module(f'(import "{host}" "{name}" {what})', MEMORY, START)


def section(number: int, content: bytes) -> bytes:
    return bytes([number, len(content)]) + content


def found(folder: Path, content: bytes) -> tuple[str, ...]:
    path = folder / "train.wasm"
    path.write_bytes(content)
    return examine(Program(path, files={}, environment={}, kind="wasm")).warnings


GOOD = module(MEMORY, START)
HEADER = b"\0asm\1\0\0\0"

REFUSED = {
    "empty": (b"", "is empty, not a WebAssembly module", "wasm32-wasip1"),
    "text of a module": (b"\n (module (memory 1))", "is the text of a module (.wat)", "wat2wasm"),
    "text with a comment": (b";; a comment\n(module)", "is the text of a module (.wat)", "wat2wasm"),
    "python": (b"print(1)\n", "is text, not", "wasm32-wasip1"),
    "elf": (b"\x7fELF" + bytes(60), "is a compiled program or library (ELF)", "kind: binary"),
    "tar": (bytes(257) + b"ustar  \0" + bytes(60), "is a tar archive, not a WebAssembly", "kind: oci"),
    "component": (b"\0asm\x0d\0\1\0", "is a component, not a WebAssembly module for WASI preview 1", "wasip1"),
    "another version": (b"\0asm\2\0\0\0", "is of another version of the format", "wasip1"),
    "preview 0": (importing("wasi_unstable", "fd_write"), "only an older WASI (preview 0) has", "wasip1"),
    "preview 2": (importing("wasi:cli/run@0.2.0", "run"), "is of WASI preview 2 or newer", "wasip1"),
    "threads": (importing("wasi", "thread-spawn"), "only WASI with threads has", "wasip1"),
    "not linked": (importing("env", "sqrt"), "imports env.sqrt, which only a host that the module was not", "wasip1"),
    "browser": (importing("wbg", "__wbg_log"), "only a browser (wasm-bindgen) has", "wasip1"),
    "go for a browser": (importing("gojs", "runtime.wasmExit"), "only a browser (GOOS=js) has", "GOOS=wasip1"),
    "unknown function": (importing(PREVIEW_1, "sock_open"), "which WASI preview 1 does not have", "wasip1"),
    "imported memory": (
        module('(import "env" "memory" (memory 1))', START),
        "imports env.memory, which only",
        "wasip1",
    ),
    "name that steers a terminal": (importing("\\1b[2J", "x"), "which only another host has", "wasip1"),
    "library": (module(MEMORY, '(func (export "add"))'), "exports no function _start", "main function"),
    "memory as start": (module('(memory (export "_start") 1)'), "exports no function _start", "main function"),
    "no memory": (module(START), "exports no memory", "wasip1"),
    "shared memory": (module('(memory (export "memory") 1 2 shared)', START), "memory that threads share", "threads"),
    "wide memory": (module('(memory (export "memory") i64 1)', START), "a memory of 64 bits", "64 bits"),
    "two memories": (module(MEMORY, "(memory 1)", START), "several memories", "without"),
    "exceptions": (module("(tag)", MEMORY, START), "uses exceptions", "exceptions"),
    "cut in a section": (GOOD[:-3], "It is truncated", "again"),
    "section that is too long": (HEADER + b"\2\xff\xff\xff\xff\x0f", "It is truncated", "again"),
    "malformed imports": (HEADER + section(2, b"\5\1a"), "a section is malformed", "again"),
    "unknown import": (HEADER + section(2, b"\1\1a\1b\x09"), "a section is malformed", "again"),
    "name that is not UTF-8": (HEADER + section(7, b"\1\1\xff\0\0"), "a section is malformed", "again"),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_what_the_guest_cannot_start_is_refused(tmp_path: Path, case: str) -> None:
    content, said, remedy = REFUSED[case]
    with pytest.raises(InputError) as caught:
        found(tmp_path, content)

    assert said in caught.value.message
    assert remedy in caught.value.hint
    assert caught.value.message.startswith("train.wasm ")
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("text", [wasm_modules.NOTHING, wasm_modules.copying()])
def test_commands_are_accepted(tmp_path: Path, text: str) -> None:
    assert found(tmp_path, bytes(wasmtime.wat2wasm(text))) == ()


def test_imports_and_exports_of_every_kind_are_read(tmp_path: Path) -> None:
    path = tmp_path / "m.wasm"
    path.write_bytes(
        module(
            '(import "a" "f" (func (param i32)))',
            '(import "a" "t" (table 1 2 funcref))',
            '(import "a" "m" (memory 1 3))',
            '(import "a" "g" (global (mut i64)))',
            '(export "g" (global 0))',
            START,
        )
    )
    with path.open("rb") as stream:
        read = wasm.read_module(stream)

    assert read.imports == (("a", "f"),)
    assert read.others == (("a", "t"), ("a", "m"), ("a", "g"))
    assert (read.exports, read.memories, read.flags) == ({"_start"}, frozenset(), (1,))


def test_features_of_the_compiler_that_are_off_are_a_warning(tmp_path: Path) -> None:
    features = b"\x0ftarget_features\2+\x07atomics+\x08sign-ext"
    warnings = found(tmp_path, GOOD + section(0, features))

    assert len(warnings) == 1
    assert "was compiled with atomics, which" in warnings[0]


def test_malformed_lists_of_features_are_ignored(tmp_path: Path) -> None:
    assert found(tmp_path, GOOD + section(0, b"\x0ftarget_features\xff")) == ()


def test_every_function_of_wasi_is_known_to_the_guests_wasmtime() -> None:
    linker = wasmtime.Linker(wasmtime.Engine())
    linker.define_wasi()
    store = wasmtime.Store(linker.engine)

    assert {name for name in FUNCTIONS if linker.get(store, PREVIEW_1, name) is None} == set()


@pytest.mark.parametrize("step", [1, 3])
def test_changed_modules_are_errors_and_end(tmp_path: Path, step: int) -> None:
    good = bytes(wasmtime.wat2wasm(wasm_modules.copying()))
    path = tmp_path / "m.wasm"
    for place in range(8, 400, step):
        path.write_bytes(good[:place] + b"\xff" * step + good[place + step :])
        with path.open("rb") as stream:
            try:
                wasm.read_module(stream)
            except wasm.WasmError:
                pass
