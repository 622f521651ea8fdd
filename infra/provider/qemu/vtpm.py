"""The software TPM of a local CVM: created, provisioned with an attestation key like GCP's vTPM, and started.

NV 0x01c10003 holds the key's template, 0x01c10002 its certificate. TPM2_CreatePrimary with the template under the
endorsement hierarchy creates the same key at every boot, because the hierarchy's seed is in the TPM's state.
Only the SHA-256 bank is allocated: each further bank costs the firmware seconds under emulation.
"""

import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cloister.attestation.tpm import commands, structures
from image.inputs.host_tools import Tools
from infra.processes import start
from infra.provider.errors import ProviderError
from infra.provider.qemu.sockets import connect, listens

STATE = "tpm"
CONTROL_SOCKET = "tpm.sock"
LOG = "swtpm.log"
_DATA_SOCKET = "tpm-setup.sock"
_START_SECONDS = 20.0
_ANSWER_SECONDS = 30.0
_LOOK_SECONDS = 0.02
_MOST_BYTES = 4096
_HEADER = 10


def create(tools: Tools, folder: Path, certify: Callable[[bytes], bytes]) -> None:
    """Create the TPM's state under ``folder``. ``certify`` turns the attestation key (an uncompressed point) into its
    certificate (DER).
    """
    (folder / STATE).mkdir(mode=0o700)
    words = ("--tpm2", "--tpm-state", STATE, "--pcr-banks", "sha256", "--overwrite")
    tools.run("swtpm_setup", *words, cwd=folder, timeout=_ANSWER_SECONDS)
    argv = [*tools.argv("swtpm"), "socket", "--tpm2", "--tpmstate", f"dir={STATE}", "--terminate"]
    argv += ["--server", f"type=unixio,path={_DATA_SOCKET}", "--flags", "not-need-init,startup-clear"]
    process = start(argv, folder, LOG, tools.environment())
    try:
        with _connect(process, folder) as channel:
            _provision(lambda command: _exchange(channel, command), certify)
        process.wait(_ANSWER_SECONDS)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        (folder / _DATA_SOCKET).unlink(missing_ok=True)


def start_for_qemu(tools: Tools, folder: Path) -> subprocess.Popen[bytes]:
    """Start the TPM, to which QEMU connects at CONTROL_SOCKET; it ends with QEMU."""
    argv = [*tools.argv("swtpm"), "socket", "--tpm2", "--tpmstate", f"dir={STATE}", "--terminate"]
    argv += ["--ctrl", f"type=unixio,path={CONTROL_SOCKET},mode=0600", "--flags", "not-need-init"]
    process = start(argv, folder, LOG, tools.environment())
    _wait_for(process, folder, CONTROL_SOCKET)
    return process


def _provision(transport: commands.Transport, certify: Callable[[bytes], bytes]) -> None:
    template = structures.AK_TEMPLATE.marshal()
    handle, public = commands.create_primary(transport, commands.ENDORSEMENT, template)
    commands.flush_context(transport, handle)
    certificate = certify(public.point)
    for index, data in ((structures.NV_AK_TEMPLATE, template), (structures.NV_AK_CERTIFICATE, certificate)):
        commands.nv_define(transport, index, len(data))
        commands.nv_write(transport, index, data)
    commands.shutdown(transport)


def _connect(process: subprocess.Popen[bytes], folder: Path) -> socket.socket:
    _wait_for(process, folder, _DATA_SOCKET)
    return connect(folder, _DATA_SOCKET, timeout=_ANSWER_SECONDS)


def _exchange(channel: socket.socket, command: bytes) -> bytes:
    channel.sendall(command)
    response = b""
    while len(response) < _HEADER or len(response) < int.from_bytes(response[2:6]):
        piece = channel.recv(_MOST_BYTES)
        if not piece or len(response) > _MOST_BYTES:
            raise ProviderError("The software TPM closed the connection in the middle of a response.")
        response += piece
    return response


def _wait_for(process: subprocess.Popen[bytes], folder: Path, name: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        with suppress(subprocess.TimeoutExpired):
            process.wait(_LOOK_SECONDS)
        if process.poll() is not None or time.monotonic() > deadline:
            said = (folder / LOG).read_text("utf-8", "replace").strip()
            raise ProviderError(f"The software TPM did not start: {said[-500:] or 'no output'}")
        if listens(process.pid, name):
            return
