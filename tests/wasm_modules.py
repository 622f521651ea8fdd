"""WebAssembly modules of the tests, written as text and assembled by wasmtime."""

from pathlib import Path

import wasmtime

_WASI = "wasi_snapshot_preview1"
_IMPORTS = {
    "fd_write": "i32 i32 i32 i32",
    "fd_read": "i32 i32 i32 i32",
    "fd_prestat_get": "i32 i32",
    "fd_prestat_dir_name": "i32 i32 i32",
    "path_open": "i32 i32 i32 i32 i32 i64 i64 i32 i32",
    "path_symlink": "i32 i32 i32 i32 i32",
    "args_sizes_get": "i32 i32",
    "args_get": "i32 i32",
    "environ_sizes_get": "i32 i32",
    "environ_get": "i32 i32",
    "sock_accept": "i32 i32 i32",
    "poll_oneoff": "i32 i32 i32 i32",
}
NOTHING = '(module (memory (export "memory") 1) (func (export "_start")))'


def assemble(text: str, into: Path) -> Path:
    """Assemble the text of a module."""
    into.write_bytes(wasmtime.wat2wasm(text))
    return into


def command(body: str, *, data: str = "", locals: str = "", more: str = "", pages: int = 1) -> str:
    """A command for WASI whose main function is ``body``; it can call the usual functions as ``$name``."""
    imports = "\n".join(
        f'(import "{_WASI}" "{name}" (func ${name} (param {types}) (result i32)))' for name, types in _IMPORTS.items()
    )
    return (
        f'(module {imports} (import "{_WASI}" "proc_exit" (func $proc_exit (param i32)))\n'
        f'(memory (export "memory") {pages})\n{data}\n{more}\n(func (export "_start") {locals}\n{body}))'
    )


def text(place: int, content: str) -> str:
    """Data at ``place``."""
    escaped = "".join(f"\\{byte:02x}" for byte in content.encode())
    return f'(data (i32.const {place}) "{escaped}")\n'


def print_bytes(place: int, size: str) -> str:
    """Instructions that print ``size`` (an instruction) bytes at ``place``."""
    return (
        f"(i32.store (i32.const 8) (i32.const {place})) (i32.store (i32.const 12) {size})\n"
        "(drop (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 16)))\n"
    )


def opening(folder: int, path: str, place: int, *, create: bool = False, write: bool = False) -> tuple[str, str]:
    """Data and an instruction that opens ``path`` below the folder ``folder``: its value is the error of WASI."""
    rights = 0x40 | 0x2 if write else 0x2
    size = len(path.encode())
    call = (
        f"(call $path_open (i32.const {folder}) (i32.const 1) (i32.const {place}) (i32.const {size}) "
        f"(i32.const {int(create)}) (i64.const {rights}) (i64.const {rights}) (i32.const 0) (i32.const 20))"
    )
    return text(place, path), call


def copying() -> str:
    """A module that copies datasets/h1.csv to results/copy.csv, and prints it."""
    data, source = opening(3, "h1.csv", 100)
    more, target = opening(4, "copy.csv", 200, create=True, write=True)
    return command(
        f"""(if {source} (then (call $proc_exit (i32.const 10))))
        (i32.store (i32.const 8) (i32.const 1024)) (i32.store (i32.const 12) (i32.const 4096))
        (drop (call $fd_read (i32.load (i32.const 20)) (i32.const 8) (i32.const 1) (i32.const 16)))
        (local.set $size (i32.load (i32.const 16)))
        (if {target} (then (call $proc_exit (i32.const 11))))
        (i32.store (i32.const 12) (local.get $size))
        (drop (call $fd_write (i32.load (i32.const 20)) (i32.const 8) (i32.const 1) (i32.const 16)))
        {print_bytes(1024, "(local.get $size)")}""",
        data=data + more,
        locals="(local $size i32)",
    )


def attempts(calls: list[tuple[str, str]]) -> str:
    """A module that makes each of ``calls`` (data, instruction) and prints their values, one byte each.

    0 is success, the others are errors of WASI; it writes results/done.
    """
    data, done = opening(4, "done", 60_000, create=True, write=True)
    body = "".join(f"(i32.store8 (i32.const {50_000 + number}) {call})\n" for number, (_, call) in enumerate(calls))
    body += print_bytes(50_000, f"(i32.const {len(calls)})") + f"(drop {done})"
    return command(body, data="".join(found for found, _ in calls) + data)
