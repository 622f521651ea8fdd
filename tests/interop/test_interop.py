"""Other people's tools read what Cloister writes, and Cloister what they write.

A tool that is not here is built from its language's registry, once; where that cannot be done, the tests say why.
"""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from cloister.attestation.statements.provenance import Provenance
from cloister.errors import InputError
from cloister.keyfile.public import read_public_key
from cloister.protocol.signingkey import PrivateKey, key_id, verify
from image import cache
from image.build import output
from image.sbom import document
from image.statements import signed
from tests.attestation.statements.samples import provenance

pytestmark = pytest.mark.interop

HERE = Path(__file__).parent
COSIGN = "v3.1.3"
CONFORMANCE = "CLOISTER_SIGSTORE_CONFORMANCE"
KEYS: dict[str, Callable[[], PrivateKey]] = {
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
}
BUILD_SECONDS = 1800


def run(*words: str | Path, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
    )


def require(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


def built(name: str, *words: str | Path, cwd: Path | None = None, **environment: str) -> Path:
    """A program in the user's cache, built with Go if it is missing."""
    program = cache.root() / "interop" / name
    if not program.is_file():
        program.parent.mkdir(parents=True, exist_ok=True)
        done = run(require("go"), *words, cwd=cwd, GOBIN=str(program.parent), **environment)
        if done.returncode != 0:
            pytest.skip(f"{name} cannot be built here: {done.stderr.strip().splitlines()[-1]}")
    return program


@pytest.fixture(scope="session")
def go_dsse() -> Path:
    target = cache.root() / "interop" / "dsse"
    return built("dsse", "build", "-o", target, ".", cwd=HERE / "go")


@pytest.fixture(scope="session")
def cosign() -> Path:
    if found := shutil.which("cosign"):
        return Path(found)
    return built("cosign", "install", f"github.com/sigstore/cosign/v3/cmd/cosign@{COSIGN}")


def files(tmp_path: Path, key: PrivateKey) -> tuple[Path, Path, Path]:
    """An image manifest, its provenance and the builder's public key."""
    manifest, statement, public = (tmp_path / name for name in ("manifest.json", "provenance.json", "lab.pub"))
    manifest.write_bytes(b'{"version":1}')
    digest = bytes.fromhex(cache.digest(manifest))
    signed.write(provenance(digest, key), key, statement)
    public.write_bytes(pem(key))
    return manifest, statement, public


def pem(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("kind", KEYS)
def test_go_verifies_a_statement_and_no_other(go_dsse: Path, tmp_path: Path, kind: str) -> None:
    key = KEYS[kind]()
    _, statement, public = files(tmp_path, key)
    done = run(go_dsse, statement, public)
    assert (done.returncode, done.stdout.encode()) == (0, signed.read(statement).envelope.payload), done.stderr
    (tmp_path / "other.pub").write_bytes(pem(KEYS[kind]()))
    assert run(go_dsse, statement, tmp_path / "other.pub").returncode != 0
    value = json.loads(statement.read_bytes())
    value["payloadType"] = "application/json"
    statement.write_bytes(json.dumps(value).encode())
    assert run(go_dsse, statement, public).returncode != 0


def checked(cosign: Path, statement: Path, public: Path, file: Path) -> subprocess.CompletedProcess[str]:
    words = ("verify-blob-attestation", "--insecure-ignore-tlog=true", "--new-bundle-format=false")
    return run(
        cosign,
        *words,
        "--type",
        "slsaprovenance1",
        "--key",
        public,
        "--signature",
        statement,
        file,
        HOME=str(file.parent),
    )


@pytest.mark.parametrize("kind", ["Ed25519", "P-256"])
def test_cosign_verifies_provenance_with_a_key_and_the_file_that_it_is_about(
    cosign: Path, tmp_path: Path, kind: str
) -> None:
    key = KEYS[kind]()
    manifest, statement, public = files(tmp_path, key)
    done = checked(cosign, statement, public, manifest)
    assert done.returncode == 0, done.stderr
    other = tmp_path / "other"
    other.write_bytes(b"another manifest")
    assert checked(cosign, statement, public, other).returncode != 0
    (tmp_path / "other.pub").write_bytes(pem(KEYS[kind]()))
    assert checked(cosign, statement, tmp_path / "other.pub", manifest).returncode != 0


def test_a_statement_that_cosign_signs_counts(cosign: Path, tmp_path: Path) -> None:
    """A builder's key is cosign's own. With --predicate it would write another version of the statement."""
    environment = {"COSIGN_PASSWORD": "", "HOME": str(tmp_path)}
    assert run(cosign, "generate-key-pair", cwd=tmp_path, **environment).returncode == 0
    public = read_public_key(tmp_path / "cosign.pub").spki
    manifest, unsigned, statement = (tmp_path / name for name in ("manifest.json", "unsigned.json", "signed.json"))
    manifest.write_bytes(b'{"version":1}')
    stated = Provenance("base", {"manifest.json": cache.digest(manifest)}, (), key_id(public), datetime.now(UTC))
    unsigned.write_bytes(stated.payload())
    done = run(
        cosign,
        *("attest-blob", "--yes", "--tlog-upload=false", "--use-signing-config=false", "--new-bundle-format=false"),
        *("--type", "slsaprovenance1", "--key", "cosign.key", "--statement", unsigned),
        *("--output-signature", statement, manifest),
        cwd=tmp_path,
        **environment,
    )
    assert done.returncode == 0, done.stderr
    assert signed.examine(statement, public).statement.envelope.payload == stated.payload()


@pytest.fixture(scope="session")
def bundles() -> Path:
    named = os.environ.get(CONFORMANCE, "")
    if not named:
        pytest.skip(f"{CONFORMANCE} does not name the folder bundle-verify of sigstore-conformance")
    return Path(named)


def is_signed(key: Path, signature: bytes, message: bytes) -> bool:
    """Whether the key in the file has signed the message; the suite's wrong key cannot be read."""
    try:
        return verify(read_public_key(key).spki, signature, message)
    except InputError:
        return False


def test_plain_keys_of_sigstore_conformance(bundles: Path) -> None:
    """A case is a bundle, perhaps a key, and the suite's file a.txt; its name says whether it must fail."""
    cases = sorted(bundles.glob("managed-key-*"))
    assert len(cases) >= 4
    for folder in cases:
        bundle = json.loads((folder / "bundle.sigstore.json").read_bytes())
        signature = base64.b64decode(bundle["messageSignature"]["signature"], validate=True)
        key = folder / "key.pub"
        # Without a key there is nothing to verify with: our verbs demand one.
        valid = key.is_file() and is_signed(key, signature, (bundles / "a.txt").read_bytes())
        assert valid is not folder.name.endswith("_fail"), folder.name


def test_the_validator_in_javascript_accepts_the_images_bill_of_materials(tmp_path: Path) -> None:
    node, npm = require("node"), require("npm")
    bill = output.folder("base") / document.FILE
    if not bill.is_file():
        pytest.skip("the image base is not built: invoke image.build")
    for file in (HERE / "npm").iterdir():
        shutil.copy(file, tmp_path)
    done = run(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", cwd=tmp_path)
    if done.returncode != 0:
        pytest.skip(f"npm cannot fetch the validator: {done.stderr.strip().splitlines()[-1]}")
    done = run(node, "validate.mjs", bill, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    broken = tmp_path / "broken.json"
    broken.write_bytes(bill.read_bytes().replace(b'"operating-system"', b'"operating system"'))
    assert run(node, "validate.mjs", broken, cwd=tmp_path).returncode != 0
