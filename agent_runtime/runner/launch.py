"""The launcher, the first program in the sandbox: unpacks wheels and datasets, then becomes the algorithm.

The image's interpreter runs this file with one argument, a JSON object (``oci_config.launcher_argument``). It writes
one byte to a pipe when the algorithm starts. On failure it prints a message to stderr. It needs the standard library
and the rules that it shares with the client, which need no more than that.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

if __name__ == "__main__":
    # `-I` leaves out the folder of the project's modules: /usr/lib/cloister in the guest.
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from cloister.protocol.archives import unpacking
from cloister.protocol.archives.errors import ArchiveError
from cloister.protocol.wheels import bundle, image_packages

FAILED = 125
PACKAGES = Path(__file__).resolve().parents[2] / image_packages.FILE
"""The packages of the image; no bundle may count on others."""
WASM_HOST = str(Path(__file__).with_name("kinds") / "wasm_host.py")


class LaunchError(Exception):
    """The algorithm cannot be started."""


def unpack_dataset(source: Path, into: Path, size: int) -> None:
    """Unpack a zip or a tar of at most ``size`` bytes of content, by the rules that its provider's client applied."""
    try:
        unpacking.unpack(source, into, size)
    except ArchiveError as error:
        raise LaunchError(f"Dataset {into.name}: {error}") from error


def prepare(request: dict[str, Any]) -> tuple[list[str], dict[str, str]]:
    """Unpack wheels and datasets. Returns the algorithm's command line and additional environment variables."""
    folders = []
    variables = {}
    wheels = request["wheels"]
    if wheels is not None:
        if wheels["bundle"] is not None:
            into = bundle.Folder(Path(wheels["into"]))
            bundle.install(Path(wheels["bundle"]), into, sys.executable, PACKAGES)
        folders.append(wheels["into"])
        for name, folder in (("PATH", bundle.PROGRAMS), ("LD_LIBRARY_PATH", bundle.LIBRARIES)):
            own = os.environ.get(name)
            if Path(wheels["into"], folder).is_dir():
                variables[name] = ":".join([f"{wheels['into']}/{folder}", *([own] if own else [])])
    for dataset in request["datasets"]:
        unpack_dataset(Path(dataset["from"]), Path(dataset["into"]), dataset["size"])
    own = os.environ.get("PYTHONPATH")
    if own:
        folders.append(own)
    if folders:
        variables["PYTHONPATH"] = ":".join(folders)
    if request["kind"] == "wasm":
        return [sys.executable, "-I", "-B", WASM_HOST, json.dumps(request["module"])], variables
    interpreter = [sys.executable] if request["kind"] == "python" else []
    return [*interpreter, request["algorithm"], *request["args"]], variables


def main() -> NoReturn:
    """Prepare, then replace this process by the algorithm, or by a new interpreter that runs it."""
    try:
        request = json.loads(sys.argv[1])
        words, variables = prepare(request)
        with open(request["launched"], "wb", buffering=0) as launched:
            launched.write(b"1")
    except Exception as error:  # noqa: BLE001 - archives fail in many ways, none of them the algorithm's fault
        print(f"The algorithm cannot be started: {error}", file=sys.stderr, flush=True)
        sys.exit(FAILED)
    try:
        os.execve(words[0], words, os.environ | variables)  # noqa: S606 - the purpose of this program
    except OSError as error:  # a compiled program that the kernel or its linker does not take
        print(f"The algorithm cannot be started: {error.strerror}", file=sys.stderr, flush=True)
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
