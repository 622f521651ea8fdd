"""Examines an algorithm of kind wasm: whether the guest can start it, as a command for WASI preview 1."""

from collections.abc import Iterator

from cloister import userfile
from cloister.client.script import kind
from cloister.client.script.algorithm import Program, ProgramFindings
from cloister.errors import InputError
from cloister.protocol import names, text, wasm

WASI = "wasi_snapshot_preview1"
_SAMPLE = 4096
_START, _MEMORY = "_start", "memory"

# The functions of WASI preview 1.
_NAMES = """
args_get args_sizes_get clock_res_get clock_time_get environ_get environ_sizes_get fd_advise fd_allocate fd_close
fd_datasync fd_fdstat_get fd_fdstat_set_flags fd_fdstat_set_rights fd_filestat_get fd_filestat_set_size
fd_filestat_set_times fd_pread fd_prestat_dir_name fd_prestat_get fd_pwrite fd_read fd_readdir fd_renumber fd_seek
fd_sync fd_tell fd_write path_create_directory path_filestat_get path_filestat_set_times path_link path_open
path_readlink path_remove_directory path_rename path_symlink path_unlink_file poll_oneoff proc_exit proc_raise
random_get sched_yield sock_accept sock_recv sock_send sock_shutdown
"""
FUNCTIONS = frozenset(_NAMES.split())

_BUILD = (
    "Build it for WASI preview 1: `cargo build --target wasm32-wasip1`, `GOOS=wasip1 GOARCH=wasm go build`, or with "
    "the WASI SDK's clang --target=wasm32-wasip1."
)
_COMMAND = (
    "Build a program with a main function, not a library: for C without -mexec-model=reactor, for Rust a `[[bin]]`."
)
_PLAIN = (
    "Build it without threads, exceptions, garbage collection and memories of 64 bits, which are off in the machine."
)
_HOSTS = {
    "wasi_unstable": "an older WASI (preview 0)",
    "wasi": "WASI with threads",
    "env": "a host that the module was not linked with, or a browser (Emscripten)",
    "wbg": "a browser (wasm-bindgen)",
    "__wbindgen_placeholder__": "a browser (wasm-bindgen)",
    "a": "a browser (Emscripten)",
    "gojs": "a browser (GOOS=js)",
    "go": "a browser (GOOS=js)",
    "js": "a browser",
}
_OFF = frozenset(
    {"atomics", "exception-handling", "gc", "memory64", "multimemory", "relaxed-simd", "shared-mem", "wide-arithmetic"}
)


def examine(program: Program) -> ProgramFindings:
    """Examine a module. Raises InputError when the guest cannot start it."""
    name = names.shown(program.path.name)
    try:
        with userfile.open_regular(program.path) as stream:
            first = stream.read(_SAMPLE)
            if not first.startswith(wasm.MAGIC):
                what, hint = _other(first)
                raise InputError(f"{name} is {what}, not a WebAssembly module.", hint=hint)
            stream.seek(0)
            module = wasm.read_module(stream)
    except OSError as error:
        raise userfile.unreadable(program.path, error) from error
    except wasm.NotAModule as error:
        raise InputError(
            f"{name} is {error.message}, not a WebAssembly module for WASI preview 1.", hint=_BUILD
        ) from error
    except wasm.WasmError as error:
        raise InputError(f"{name} cannot be started. {error.message}", hint="Get or build the module again.") from error
    _require_wasi(name, module)
    return ProgramFindings(tuple(_warnings(name, module)))


def _other(first: bytes) -> tuple[str, str]:
    start = first.lstrip(b" \t\r\n\xef\xbb\xbf")
    if start.startswith((b"(module", b"(component", b";;", b"(;")):
        return "the text of a module (.wat)", "Assemble it: `wat2wasm NAME.wat`, or `wasm-tools parse NAME.wat`."
    what = kind.described(first) or ("text" if first and b"\0" not in first else "of an unknown kind")
    return (what if first else "empty"), kind.remedy(first) or _BUILD


def _require_wasi(name: str, module: wasm.WasmModule) -> None:
    for host, function in module.imports + module.others:
        shown = f"{text.printable(host)[:80]}.{text.printable(function)[:80]}"
        if host.startswith(("wasi:", "cm32p2|wasi:")):
            raise InputError(f"{name} imports {shown}, which is of WASI preview 2 or newer.", hint=_BUILD)
        if host != WASI:
            known = _HOSTS.get(host, "another host")
            raise InputError(f"{name} imports {shown}, which only {known} has; the machine has {WASI}.", hint=_BUILD)
        if function not in FUNCTIONS or (host, function) in module.others:
            raise InputError(f"{name} imports {shown}, which WASI preview 1 does not have.", hint=_BUILD)
    if _START not in module.exports:
        raise InputError(f"{name} exports no function {_START}, so it cannot be started.", hint=_COMMAND)
    if _MEMORY not in module.memories:
        raise InputError(f"{name} exports no memory with the name {_MEMORY}, which WASI needs.", hint=_BUILD)
    used = [
        what
        for what, found in (
            ("memory that threads share", module.shares_memory),
            ("a memory of 64 bits", module.is_wide),
            ("several memories", len(module.flags) > 1),
            ("exceptions", module.has_tags),
        )
        if found
    ]
    if used:
        raise InputError(f"{name} uses {' and '.join(used)}, which the machine does not allow.", hint=_PLAIN)


def _warnings(name: str, module: wasm.WasmModule) -> Iterator[str]:
    if found := sorted(_OFF.intersection(module.features)):
        yield (
            f"{name} was compiled with {', '.join(found)}, which the machine does not allow: if it uses them, it does "
            "not start. Try it, or build it without them."
        )
