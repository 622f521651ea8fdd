"""Unpacks an image of a container and the datasets beside it, in a sandbox of its own before the run.

The machine's interpreter runs this file with one argument, a JSON object (``image_config.unpacker_argument``). It
leaves the root file system and a description of the process, which the runner checks again, unless both are on the
scratch disk already (``pack``), and writes one byte to a pipe. It needs the standard library and the rules that it
shares with the client; of packages only what decompresses Zstandard.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

if __name__ == "__main__":
    # `-I` leaves out the folder of the project's modules: /usr/lib/cloister in the guest.
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from agent_runtime.runner.launch import FAILED, unpack_dataset
from cloister.protocol.containers import unpacking
from cloister.protocol.containers.process import ContainerProcess


def unpack(request: dict[str, Any]) -> None:
    """Unpack what ``request`` names. Raises ContainerError, ArchiveError, LaunchError or OSError."""
    image, user = request["image"], request["user"]
    if image is not None:
        process = _unpack_image(image, owns=request["owns"])
        user = [process.user, process.group]
    for dataset in request["datasets"]:
        place = Path(dataset["into"])
        unpack_dataset(Path(dataset["from"]), place, dataset["size"])
        if request["owns"]:
            _give(place, *user)


def _unpack_image(image: dict[str, Any], *, owns: bool) -> ContainerProcess:
    into = Path(image["into"])
    into.mkdir()
    said = {name: image[name] for name in ("digest", "size", "args", "environment")}
    with open(image["archive"], "rb") as stream:
        process = unpacking.unpack(stream, into, owns=owns, **said)
    Path(image["process"]).write_bytes(process.encode())
    return process


def _give(folder: Path, user: int, group: int) -> None:
    os.chown(folder, user, group)
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.chown(os.path.join(place, name), user, group, follow_symlinks=False)


def main() -> NoReturn:
    """Unpack, and say that it is done."""
    try:
        request = json.loads(sys.argv[1])
        unpack(request)
        with open(request["launched"], "wb", buffering=0) as launched:
            launched.write(b"1")
    except Exception as error:  # noqa: BLE001 - archives fail in many ways, none of them the algorithm's fault
        print(f"The algorithm cannot be started: {error}", file=sys.stderr, flush=True)
        sys.exit(FAILED)
    sys.exit(0)


if __name__ == "__main__":
    main()
