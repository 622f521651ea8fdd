"""A computation of an owner, a lab and a hospital, with an agent in this process."""

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519

from cloister.client.connection.binding import bind
from cloister.client.connection.opening import Target, attest
from cloister.client.connection.refusal import Refusal
from cloister.client.connection.session import Session
from cloister.client.files.keys import Key
from cloister.protocol import canonical, signingkey, transcript
from cloister.protocol.manifest import Manifest
from cloister.v1 import agent_pb2
from tests.agent_fixture import RunningAgent

TRAIN = b"""\
import os, pathlib
data = pathlib.Path("datasets/h1.csv").read_bytes()
os.mkdir("results/deep")
pathlib.Path("results/model.json").write_text('{"bytes": %d}' % len(data))
pathlib.Path("results/deep/metrics.txt").write_text("good")
print("trained")
"""
DATA = b"1,2,3\\n" * 1000


def new_key() -> Key:
    """A party's key."""
    private = ed25519.Ed25519PrivateKey.generate()
    return Key(private, signingkey.spki_of(private.public_key()))


@dataclass
class World:
    """``keys`` are the parties' keys, ``files`` the assets' bytes, both by name."""

    running: RunningAgent
    keys: dict[str, Key]
    files: dict[str, bytes]
    manifest: Manifest | None = None

    def value(self, **changes: Any) -> dict[str, Any]:
        """The manifest as JSON, see :func:`manifest_value`."""
        return manifest_value(self.keys, self.files, **changes)

    def compose(self, **changes: Any) -> Manifest:
        """Make the manifest that all other methods use."""
        self.manifest = Manifest.from_value(self.value(**changes))
        return self.manifest

    def session(self, name: str) -> Session:
        """A fresh bound session of a party, under a policy that accepts the machine."""
        return bind(attest(Target(self.running.address, self.running.policy())), self.keys[name])

    def submit(self, **changes: Any) -> bytes:
        """The owner submits the manifest."""
        manifest = self.compose(**changes)
        with self.session("owner") as session:
            return session.submit_manifest(manifest.encode())

    def consent(self, session: Session, asset: str, key: Key, /, **changes: Any) -> bytes:
        """A provider's consent in a session."""
        manifest = self.known()
        (declared,) = [one for one in manifest.assets() if one.name == asset]
        message = {
            "manifest_digest": manifest.digest(),
            "asset": asset,
            "asset_digest": bytes.fromhex(declared.digest),
            "transcript": session.transcript,
        } | changes
        return key.sign(transcript.consent_message(**message))

    def upload(self, name: str, asset: str, data: bytes | None = None, *, offset: int = 0) -> agent_pb2.UploadProgress:
        """A party uploads an asset, from ``offset``."""
        with self.session(name) as session:
            return self.send(session, name, asset, data, offset=offset)

    def send(
        self, session: Session, name: str, asset: str, data: bytes | None = None, *, offset: int = 0
    ) -> agent_pb2.UploadProgress:
        """A party uploads an asset in an open session."""
        content = self.files[asset] if data is None else data
        start = agent_pb2.UploadStart(asset=asset, consent=self.consent(session, asset, self.keys[name]), offset=offset)
        return session.upload_asset(start, lambda: pieces(content[offset:]), len(content) - offset)

    def upload_all(self) -> None:
        """Every provider uploads its assets."""
        for one in self.known().assets():
            self.upload(one.provider, one.name)

    def known(self) -> Manifest:
        """The manifest that was composed."""
        if self.manifest is None:
            raise ValueError("no manifest was composed")
        return self.manifest

    def events(self, name: str = "lab", *, follow: bool = False) -> Iterator[bytes]:
        """The lines of the event log."""
        with self.session(name) as session:
            yield from session.events(0, follow=follow)

    def wait_for(self, kind: str) -> dict[str, Any]:
        """Follow the log until an event of this kind; returns its value."""
        with self.session("owner") as session:
            for event in self.follow(session):
                if event["kind"] == kind:
                    return event
        raise AssertionError(f"the log ended without {kind}")

    def follow(self, session: Session) -> Iterator[dict[str, Any]]:
        """The events until the computation ends."""
        for line in session.events(0, follow=True):
            yield dict(canonical.parse(line, what="a line", limit=1 << 20)["event"])


def manifest_value(keys: dict[str, Key], files: dict[str, bytes], **changes: Any) -> dict[str, Any]:
    """A manifest as JSON; ``changes`` replace members, ``algorithm__kind=...`` nested ones."""
    value: dict[str, Any] = {
        "version": 1,
        "id": "00" * 16,
        "name": "trial",
        "description": "",
        "parties": {name: {"key": canonical.to_base64(keys[name].public)} for name in ("lab", "hospital", "reader")},
        "algorithm": {
            "provider": "lab",
            "kind": "python",
            "file": "train.py",
            **describe(files["algorithm"]),
            "args": [],
            "environment": {},
        },
        "datasets": [
            {
                "name": "h1",
                "provider": "hospital",
                "file": "h1.csv",
                "unpack": False,
                **describe(files["h1"]),
            }
        ],
        "results": {"consumers": ["lab", "hospital"], "expires": 3600, "max": 1 << 20},
        "logs": {"readers": ["reader"], "max": 4096, "release": "end"},
        "limits": {"time": 60, "memory": 1 << 28, "cpus": 1, "processes": 64},
    }
    for path, change in changes.items():
        *parents, last = path.split("__")
        place = value
        for parent in parents:
            place = place[parent]
        place[last] = change
    return value


def describe(content: bytes) -> dict[str, Any]:
    """Digest and size, as in a manifest."""
    return {"digest": hashlib.sha256(content).hexdigest(), "size": len(content)}


def pieces(content: bytes, size: int = 1 << 20) -> Iterator[bytes]:
    """``content`` in frames."""
    for start in range(0, len(content), size):
        yield content[start : start + size]


@contextlib.contextmanager
def refused(reason: str, **metadata: str) -> Iterator[None]:
    """Expect a refusal with this reason, at least this metadata, and a sentence."""
    try:
        yield
    except Refusal as error:
        assert error.reason == reason, f"{error.reason}: {error.message}"
        assert metadata.items() <= error.metadata.items(), error.metadata
        assert error.message.endswith("."), error.message
    else:
        raise AssertionError(f"the agent did not refuse with {reason}")
