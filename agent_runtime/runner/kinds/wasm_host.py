"""Runs a WebAssembly module: the program that the launcher becomes for an algorithm of kind wasm.

Its one argument is a JSON object (:class:`WasmRequest`). The module sees the folders of the request and nothing else:
WASI preview 1 has no other way to a file, and no network. Time, memory and processes are limited from outside, by the
sandbox: the count of fuel changes between releases of wasmtime, and an epoch does not end a module that waits in its
host.
"""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

if __name__ == "__main__":
    # `-I` leaves out the folder of the project's packages: /usr/lib/cloister in the guest.
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import wasmtime

MAGIC = b"\0asm\1\0\0\0"
TRAPPED = 134
"""Exit status after a trap, as of a program that aborts."""

_LAST_STATUS = 125
"""The last exit status that WASI preview 1 passes on."""

# WebAssembly 2.0. On by default in wasmtime 50, and off here: what is still young, needs more of the host, or makes the
# result depend on the processor.
_ON = ("bulk_memory", "multi_value", "reference_types", "simd")
_OFF = (
    *("component_model", "custom_page_sizes", "exceptions", "function_references", "gc", "memory64", "multi_memory"),
    *("relaxed_simd", "stack_switching", "tail_call", "threads", "wide_arithmetic"),
)


@dataclass(frozen=True)
class WasmRequest:
    """The module's path, its arguments (the name first), environment, and folders: guest's name to path, and whether
    it may write there."""

    module: str
    args: list[str]
    environment: dict[str, str]
    folders: dict[str, tuple[str, bool]]


def engine() -> wasmtime.Engine:
    """An engine with fixed features. It compiles in one thread: more would count as processes of the algorithm."""
    config = wasmtime.Config()
    for name in _OFF:
        setattr(config, f"wasm_{name}", False)
    for name in _ON:
        setattr(config, f"wasm_{name}", True)
    config.parallel_compilation = False
    return wasmtime.Engine(config)


def run(request: WasmRequest) -> int:
    """Run the module to its end. Returns its exit status. Raises WasmtimeError and Trap."""
    compiler = engine()
    content = Path(request.module).read_bytes()
    if not content.startswith(MAGIC):  # wasmtime would also take text
        raise ValueError("the file is not a WebAssembly module")
    module = wasmtime.Module(compiler, content)
    del content
    wasi = wasmtime.WasiConfig()
    wasi.argv = request.args
    wasi.env = list(request.environment.items())
    wasi.inherit_stdin()
    wasi.inherit_stdout()
    wasi.inherit_stderr()
    for name, (path, writable) in request.folders.items():
        wasi.preopen_dir(path, name, writable)
    store = wasmtime.Store(compiler)
    store.set_wasi(wasi)
    linker = wasmtime.Linker(compiler)
    linker.define_wasi()
    start = linker.instantiate(store, module).exports(store)["_start"]
    if not isinstance(start, wasmtime.Func):
        raise ValueError("_start is not a function")
    try:
        start(store)
    except wasmtime.ExitTrap as ended:
        return int(ended.code)
    return 0


def main() -> NoReturn:
    """Run the request, and exit as the module does."""
    try:
        status = run(WasmRequest(**json.loads(sys.argv[1])))
    except (wasmtime.WasmtimeError, wasmtime.Trap) as error:
        print(f"The WebAssembly module failed: {_said(error)}", file=sys.stderr, flush=True)
        status = TRAPPED
    except (OSError, ValueError, KeyError) as error:
        print(f"The WebAssembly module cannot be started: {error}", file=sys.stderr, flush=True)
        status = TRAPPED
    # Without finalizers: nothing of the module is left to be done.
    sys.stdout.flush()
    os._exit(status)


def _said(error: Exception) -> str:
    said = str(error)
    if "invalid exit status" in said:
        return f"it ended with an exit status greater than {_LAST_STATUS}, which WASI preview 1 does not pass on"
    return said


if __name__ == "__main__":
    main()
