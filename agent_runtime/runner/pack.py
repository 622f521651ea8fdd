"""Unpacks datasets, wheels and images onto a volume of the scratch disk, in a sandbox like the algorithm's, before it
runs.

The image's interpreter runs this file with one argument, a JSON object (``oci_config.packer_argument``). Standard input
is the volume's device, open for writing; the seal goes to standard output, and why it failed to standard error.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # `-I` leaves out the folder of the project's modules: /usr/lib/cloister in the guest.
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from agent_runtime.runner.launch import PACKAGES
from agent_runtime.scratch.packedroot import PackedRoot, SurvivorSink
from agent_runtime.scratch.packing import PackedWheels, Packer
from agent_runtime.scratch.volume import Seal, Volume
from cloister.protocol.archives import unpacking
from cloister.protocol.archives.errors import ArchiveError
from cloister.protocol.archives.tree import ArchiveTree
from cloister.protocol.containers import unpacking as containers
from cloister.protocol.wheels import bundle

FAILED = 125


class PackError(Exception):
    """A dataset cannot be unpacked."""


def pack(request: dict[str, Any], device: int) -> Seal:
    """Unpack what ``request`` names onto ``device``. Raises PackError, BundleError or OSError."""
    packer = Packer(Volume(device, request["size"]))
    if request["bundle"] is not None:
        wheels = PackedWheels(packer.tree("wheels"))
        bundle.install(Path(request["bundle"]), wheels, sys.executable, PACKAGES)
    if request["image"] is not None:
        _pack_image(request["image"], packer, request["first"])
    for dataset in request["datasets"]:
        tree = ArchiveTree(packer.tree("datasets", dataset["name"]), dataset["size"])
        try:
            with open(dataset["from"], "rb") as stream:
                unpacking.read_into(stream, tree)
        except ArchiveError as error:
            raise PackError(f"Dataset {dataset['name']}: {error}") from error
    return packer.seal(owner=request["owner"], seconds=int(time.time()), shared=request["shared"])


def _pack_image(image: dict[str, Any], packer: Packer, first: int) -> None:
    said = {name: image[name] for name in ("digest", "size", "args", "environment")}
    counted = SurvivorSink()

    def root() -> PackedRoot:
        return packer.image(counted.survivors(), "image", image["root"], first=first)

    with open(image["archive"], "rb") as stream:
        process = containers.unpack_twice(stream, counted, root, **said)
    packer.tree("image").file(image["process"], iter([process.encode()]), executable=False)


def main() -> None:
    """Pack, and print the seal."""
    try:
        seal = pack(json.loads(sys.argv[1]), sys.stdin.fileno())
    except Exception as error:  # noqa: BLE001 - archives fail in many ways, none of them the algorithm's fault
        print(f"The algorithm cannot be started: {error}", file=sys.stderr, flush=True)
        sys.exit(FAILED)
    os.write(sys.stdout.fileno(), seal.encode())


if __name__ == "__main__":
    main()
