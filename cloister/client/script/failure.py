"""What an algorithm's output says about why it failed, and what to do about it.

The output is the algorithm's own text: it may say anything. A sentence quotes it only as far as a name goes.
"""

import re
from collections.abc import Callable

from cloister.client.script.imports import INSTALL
from cloister.client.script.packages import package_of, removed_in
from cloister.protocol import guest, names

TAIL = 64 * 1024
"""Bytes at the end of the output that are read."""

_LONGEST_TRACEBACK = 16 * 1024
_ERROR_AT_END = re.compile(rb"^Traceback \(most recent call last\):\n(?:  .*\n)+[\w.]+(?:: .*)?\s*\Z", re.MULTILINE)

_MOST = 3
_NETWORK = (
    "There is no network. What the program downloads comes with it: packages in the bundle, weights and tables as "
    "algorithm.files, data as a dataset."
)
_READ_ONLY = (
    "A program writes what leaves the machine below results/, and everything else below /tmp: its own folder and the "
    "rest are read-only."
)
_PLACES = (
    "A dataset is at datasets/<file>, an unpacked one in the folder datasets/<name>, a file of the algorithm at its "
    "`at`; folders below results/ are the program's to make. All of these are below /work; a container image starts in "
    "its WORKDIR."
)
_PREOPENED = (
    "A WebAssembly module reaches datasets/ and results/ by these relative paths, and no other folder; with "
    "algorithm.files it may also read the folder that it starts in."
)
_FULL = (
    "results/ has room for results.max bytes, /tmp and the changes of datasets share limits.memory: raise the limit."
)


def advice(output: bytes) -> tuple[str, ...]:
    """Sentences about the failures that the end of an output shows; empty if it shows none that is known."""
    text = output[-TAIL:].decode("utf-8", "replace")
    found: dict[str, None] = {}
    for pattern, said in _FAILURES:
        for match in pattern.finditer(text):
            found.setdefault(said if isinstance(said, str) else said(match))
            if len(found) == _MOST:
                return tuple(found)
    return tuple(found)


class OutputEnd:
    """The end of an output that comes in pieces."""

    def __init__(self) -> None:
        self._kept = b""

    def add(self, piece: bytes) -> None:
        """The next piece."""
        self._kept = (self._kept + piece)[-TAIL:]

    def advice(self) -> tuple[str, ...]:
        """Sentences about the failures that it shows; empty if it shows none that is known."""
        return advice(self._kept)

    def is_error(self) -> bool:
        """Whether the last that was printed is an error of Python, which most often has ended the program."""
        return _ERROR_AT_END.search(self._kept[-_LONGEST_TRACEBACK:]) is not None


def _missing_module(match: re.Match[str]) -> str:
    module = match["module"]
    top = module.split(".")[0]
    if (version := removed_in(top)) is not None:
        return f"{top} was removed from Python {version}, and the guest has {guest.PYTHON}."
    if (why := guest.left_out(top)) is not None:
        return f"The guest's Python has no {top}. {why}"
    return (
        f"The guest has no module {top}. If it is a package, add {package_of(module)} to the requirements and bundle "
        "again; if it is a file of yours, add it to algorithm.files."
    )


def _missing_file(match: re.Match[str]) -> str:
    return f"There is no {names.shown(match['path'])}. {_PLACES}"


def _missing_library(match: re.Match[str]) -> str:
    return f"The guest has no {match['library']}: `bundle` names the package that needs it, and often a better one."


_INSTALLER = r"(?:pip[0-9.]*|ensurepip|conda|mamba|uv|apt|apt-get)"
_FAILURES: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (
        re.compile(
            rf"No module named '?{_INSTALLER}'?\s*$|\b{_INSTALLER}: (?:command )?not found"
            rf"|No such file or directory: '{_INSTALLER}'|No matching distribution found for",
            re.MULTILINE,
        ),
        f"Packages cannot be installed: there is no network. {INSTALL}",
    ),
    (
        re.compile(
            rf"^ModuleNotFoundError: No module named '(?!{_INSTALLER}')(?P<module>\w[\w.]{{0,200}})'", re.MULTILINE
        ),
        _missing_module,
    ),
    (re.compile(r"\b(?P<library>lib[\w+.-]{1,100}\.so[\w.]{0,20}): cannot open shared object file"), _missing_library),
    (
        re.compile(
            r"Temporary failure in name resolution|Name or service not known|Network is unreachable|NameResolutionError"
            r"|Failed to establish a new connection|getaddrinfo failed|Could not resolve host"
        ),
        _NETWORK,
    ),
    (
        re.compile(
            r"[Rr]ead-only file system|kind: (?:PermissionDenied|ReadOnlyFilesystem)\b|: [Pp]ermission denied\s*$"
            r"|^PermissionError: \[Errno 13\] Permission denied: ",
            re.MULTILINE,
        ),
        _READ_ONLY,
    ),
    (re.compile(r"[Nn]o space left on device|kind: StorageFull\b"), _FULL),
    (re.compile(r"Capabilities insufficient|failed to find a pre-opened file descriptor"), _PREOPENED),
    (
        re.compile(
            rf"^FileNotFoundError: \[Errno 2\] No such file or directory: '(?!{_INSTALLER}')(?P<path>[^'\n]{{1,200}})'",
            re.MULTILINE,
        ),
        _missing_file,
    ),
    # As perror(3), Go, shells and crun write it.
    (
        re.compile(
            r"(?<![\w.@/-])(?<!\?\) `)(?P<path>datasets|results|[\w@-]{0,200}[./][\w.@/-]{0,200})"
            r"(?:['\"`](?: not found)?: (?:\[Errno 2\] )?|: )[Nn]o such file or directory"
        ),
        _missing_file,
    ),
    (re.compile(r"\bcode: 2, kind: NotFound\b"), f"A file or folder is not where the program looks for it. {_PLACES}"),
)
