"""A software TPM for tests: swtpm from the locked host tools."""

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from cloister.attestation.tpm import commands
from image.inputs import host_tools


@contextlib.contextmanager
def software_tpm(folder: Path) -> Iterator[commands.Transport]:
    """A started TPM with its state in the existing ``folder``."""
    swtpm = host_tools.ensure()
    ours, theirs = socket.socketpair()
    with ours:
        ours.settimeout(60)
        state = ["--tpmstate", f"dir={folder}", "--flags", "not-need-init"]
        process = subprocess.Popen(
            [*swtpm.argv("swtpm"), "socket", "--tpm2", "--fd", str(theirs.fileno()), *state],
            pass_fds=[theirs.fileno()],
            env=swtpm.environment(),
        )
        theirs.close()

        def send(command: bytes) -> bytes:
            ours.sendall(command)
            header = ours.recv(10, socket.MSG_WAITALL)
            return header + ours.recv(int.from_bytes(header[2:6]) - 10, socket.MSG_WAITALL)

        try:
            commands.startup(send)
            yield send
        finally:
            process.terminate()
            process.wait()
