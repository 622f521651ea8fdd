"""Sequential speed of the scratch disk: ``python guest_disk.py ROUNDS``, as root in a debug guest; `scratch` runs it.

Prints a line of JSON for each round: seconds to write, and to read, as many bytes of the bare disk and of the disk
under each cipher. Past the guest's caches; the host has the disk in its page cache.
"""

import json
import mmap
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, "/usr/lib/cloister")

from agent_runtime.runner.disk import scratchdisk
from agent_runtime.runner.disk.scratchdisk import ScratchDisk

SIZE = 64 << 20
_PIECE = 1 << 20
_CIPHERS = {"AEGIS-128": ("capi:aegis128-random", 16, 32), "AES-256-GCM": ("capi:gcm(aes)-random", 32, 28)}
"""dm-crypt's name, the bytes of a key, and those beside each block."""


def main() -> None:
    """Measure, and print."""
    device = scratchdisk.find()
    _times(device)  # the host allocates its file
    for _ in range(int(sys.argv[1])):
        took = {"the bare disk": _times(device)}
        for name, parameters in _CIPHERS.items():
            scratchdisk.CIPHER, scratchdisk.KEY_SIZE, scratchdisk.TAG = parameters
            disk = ScratchDisk()
            disk.open(device, SIZE)
            took[name] = _times(disk.volume("measured", 0, 2 * SIZE).path)
            disk.close()
        print(f"ROUND {json.dumps(took)}", flush=True)


def _times(device: Path) -> tuple[float, float]:
    """Seconds to write and to read."""
    descriptor = os.open(device, os.O_RDWR | os.O_DIRECT)
    with mmap.mmap(-1, _PIECE) as piece:
        piece.write(os.urandom(_PIECE))
        began = time.monotonic()
        for offset in range(0, SIZE, _PIECE):
            os.pwrite(descriptor, piece, offset)
        os.fsync(descriptor)
        written = time.monotonic()
        for offset in range(0, SIZE, _PIECE):
            os.preadv(descriptor, [piece], offset)
        read = time.monotonic()
    os.close(descriptor)
    return written - began, read - written


if __name__ == "__main__":
    main()
