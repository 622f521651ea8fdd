"""Builders and publishers state what this checkout can show to be so, and others verify it with the field's library."""

import contextlib
import dataclasses
import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from invoke.context import Context
from invoke.exceptions import Exit
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from cloister.attestation.statements.lifecycle import ImageStatus, LifeCycle
from cloister.attestation.statements.provenance import Dependency, Provenance
from cloister.client.files.keys import KeyType, generate_key
from cloister.errors import ChangedFileError, InputError
from cloister.keyfile.private import read_private_key
from cloister.protocol import dsse
from cloister.protocol.imagemanifest import ImageManifest, ImageOutput
from cloister.protocol.signingkey import PrivateKey, key_id, spki_of
from image.build import source
from image.inputs import lockfile, recipe
from image.statements import lifecycle, provenance, signed
from image.verbs import statements as verbs
from tests import output_schema

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
KEY, OTHER = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
KEYS: dict[str, PrivateKey] = {
    "Ed25519": KEY,
    "P-256": ec.generate_private_key(ec.SECP256R1()),
    "P-384": ec.generate_private_key(ec.SECP384R1()),
}


def public(key: PrivateKey) -> bytes:
    return spki_of(key.public_key())


@pytest.fixture(autouse=True)
def committed_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLOISTER_LOCKS", raising=False)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """The folder of an image that says it was built from this checkout."""
    folder = tmp_path / "image"
    folder.mkdir()
    loaded = recipe.load("base")
    write(
        folder,
        {
            "recipe": loaded.recipe.digest(),
            "lock": lockfile.load(loaded.lock).digest(),
            "tools": lockfile.load(recipe.TOOLS).digest(),
            "source": source.digest(source.builders_digest(), source.agent(loaded.recipe.agent)),
        },
    )
    return folder


def write(folder: Path, inputs: dict[str, str]) -> ImageManifest:
    files = {"uki.efi": b"kernel", "sbom.cdx.json": b"{}", "lock.json": lockfile.load("base").encode()}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    outputs = {name: ImageOutput(hashlib.sha256(content).hexdigest(), len(content)) for name, content in files.items()}
    made = ImageManifest(
        "base", False, inputs, outputs, {**dict.fromkeys((4, 9, 11), "ab" * 32), 12: "00" * 32, 13: "00" * 32}
    )
    (folder / "manifest.json").write_bytes(made.encode())
    return made


def manifest_of(folder: Path) -> ImageManifest:
    return ImageManifest.parse((folder / "manifest.json").read_bytes())


def state(image: Path, key: PrivateKey = KEY) -> Provenance:
    return provenance.state(image, "", builder=key_id(public(key)), now=NOW)


def test_provenance_binds_manifest_outputs_lock_and_every_package(image: Path) -> None:
    stated, manifest = state(image), manifest_of(image)
    assert stated.subjects == {
        "manifest.json": hashlib.sha256((image / "manifest.json").read_bytes()).hexdigest(),
        **{name: output.sha256 for name, output in manifest.outputs.items()},
    }
    digests = {one.name: one.sha256 for one in stated.dependencies}
    assert {name: digests[name] for name in manifest.inputs} == manifest.inputs
    lock = lockfile.load("base")
    assert {one.name: one.sha256 for one in lock.entries}.items() <= digests.items()
    assert all(one.uri for one in stated.dependencies if one.name not in manifest.inputs)


@pytest.mark.parametrize("kind", KEYS)
def test_the_fields_library_verifies_what_is_written_and_nothing_else(image: Path, tmp_path: Path, kind: str) -> None:
    key, file = KEYS[kind], tmp_path / "provenance.json"
    signed.write(state(image, key), key, file)
    known = SSlibKey.from_crypto(key.public_key(), keyid=key_id(public(key)))
    envelope = Envelope.from_dict(json.loads(file.read_bytes()))
    assert envelope.verify([known], threshold=1) == {known.keyid: known}
    examined = signed.examine(file, public(key))
    assert examined.statement.envelope.payload == envelope.payload
    examined.require_about(manifest_of(image), NOW)
    assert any(manifest_of(image).digest().hex() in line for line in examined.lines(NOW))

    envelope.payload = envelope.payload.replace(b'"base"', b'"bass"')
    with pytest.raises(VerificationError):
        envelope.verify([known], threshold=1)
    file.write_bytes(json.dumps(envelope.to_dict()).encode())
    with pytest.raises(ChangedFileError, match="is not signed by the key"):
        signed.examine(file, public(key))


Change = Callable[[Path], object]


def input_of_another(name: str) -> Change:
    return lambda image: write(image, {**manifest_of(image).inputs, name: "00" * 32})


NOT_BUILT_HERE: dict[str, tuple[Change, str]] = {
    "a file that was changed": (lambda image: (image / "uki.efi").write_bytes(b"other"), "uki.efi is not the file"),
    "a file that is missing": (lambda image: (image / "sbom.cdx.json").unlink(), "sbom.cdx.json is not the file"),
    **{
        f"another {name}": (input_of_another(name), rf"not built from this checkout, where these differ: {name}\.")
        for name in ("recipe", "lock", "tools", "source")
    },
}


@pytest.mark.parametrize("name", NOT_BUILT_HERE)
def test_a_builder_states_only_what_it_has_built(image: Path, name: str) -> None:
    change, said = NOT_BUILT_HERE[name]
    change(image)
    with pytest.raises(InputError, match=said):
        state(image)


def resigned(image: Path, file: Path) -> None:
    """By another key, in the builder's name."""
    file.write_bytes(dsse.sign(state(image).payload(), OTHER))


EXAMINED: dict[str, tuple[Callable[[Path, Path], object], bytes, type[Exception], str]] = {
    "another key": (
        lambda image, file: signed.write(state(image), KEY, file),
        public(OTHER),
        ChangedFileError,
        "not s",
    ),
    "another's name": (resigned, public(OTHER), ChangedFileError, "and names the builder"),
    "no statement": (lambda image, file: file.write_bytes(b"{}"), public(KEY), InputError, "lacks payload"),
    "no file": (lambda image, file: None, public(KEY), InputError, "statement.json"),
    "a receipt": (
        lambda image, file: file.write_bytes(dsse.sign(b'{"predicateType":"urn:cloister:receipt:v1"}', KEY)),
        public(KEY),
        InputError,
        "neither the provenance nor the life cycle",
    ),
}


@pytest.mark.parametrize("name", EXAMINED)
def test_what_is_not_a_statement_of_the_key_is_refused(image: Path, tmp_path: Path, name: str) -> None:
    make, key, kind, said = EXAMINED[name]
    file = tmp_path / "statement.json"
    make(image, file)
    with pytest.raises(kind, match=said):
        signed.examine(file, key)


def test_provenance_of_another_image_is_refused(image: Path, tmp_path: Path) -> None:
    file = tmp_path / "provenance.json"
    signed.write(state(image), KEY, file)
    manifest = manifest_of(image)
    examined = signed.examine(file, public(KEY))
    for other in (
        dataclasses.replace(manifest, debug=True),
        dataclasses.replace(manifest, outputs={**manifest.outputs, "more": ImageOutput("ab" * 32, 1)}),
    ):
        with pytest.raises(ChangedFileError, match="about another image"):
            examined.require_about(other, NOW)


def published(file: Path, **changes: object) -> LifeCycle:
    terms = {"key": KEY, "days": 30, "first": not file.exists(), "now": NOW, **changes}
    return lifecycle.issue(file, **terms)


def test_a_publisher_continues_its_statement(image: Path, tmp_path: Path) -> None:
    file, digest = tmp_path / "lifecycle.json", manifest_of(image).digest().hex()
    first = published(file, add=[image])
    assert (first.counter, first.issued, first.expires) == (1, NOW, NOW + timedelta(days=30))
    assert first.images[digest].status is ImageStatus.CURRENT
    # The oldest of the lock's indexes: that of Debian, not of its security archive.
    assert first.images[digest].indexed == min(one.time() for one in lockfile.load("base").archives)
    renewed = published(file, now=NOW + timedelta(days=7))
    assert (renewed.counter, renewed.images) == (2, first.images)
    last = published(file, withdraw=[digest], now=NOW + timedelta(days=8))
    assert (last.counter, last.images[digest].status) == (3, ImageStatus.WITHDRAWN)
    examined = signed.examine(file, public(KEY))
    assert examined.statement.stated == last
    assert f"until {last.expires:%F %T} UTC." in examined.lines(NOW)[1]
    assert f"expired since {last.expires:%F %T} UTC." in examined.lines(last.expires)[1]
    with pytest.raises(ChangedFileError, match="does not list the image"):
        examined.require_about(dataclasses.replace(manifest_of(image), debug=True), NOW)


def test_an_image_that_a_publisher_does_not_vouch_for_is_told(image: Path, tmp_path: Path) -> None:
    file, digest = tmp_path / "lifecycle.json", manifest_of(image).digest().hex()
    stated = published(file, add=[image])
    examined = signed.examine(file, public(KEY))
    examined.require_about(manifest_of(image), stated.expires - timedelta(seconds=1))
    with pytest.raises(ChangedFileError, match="The statement expired at"):
        examined.require_about(manifest_of(image), stated.expires)
    published(file, withdraw=[digest])
    with pytest.raises(ChangedFileError, match=f"has withdrawn the image base {digest}"):
        signed.examine(file, public(KEY)).require_about(manifest_of(image), NOW)


def test_two_statements_at_once_have_two_counters(image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reads the statement before; without a lock both would, before either has written."""
    file, both, read = tmp_path / "lifecycle.json", threading.Barrier(2), lifecycle._before
    published(file, add=[image])

    def slowly(*words: Any) -> LifeCycle | None:
        found = read(*words)
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(timeout=0.3)
        return found

    monkeypatch.setattr(lifecycle, "_before", slowly)
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda _: published(file).counter, range(2)))
    assert sorted(made) == [2, 3]


def other_lock(image: Path, file: Path) -> dict[str, object]:
    input_of_another("lock")(image)
    return {"add": [image]}


def without_lock(image: Path, file: Path) -> dict[str, object]:
    (image / "lock.json").unlink()
    return {"add": [image]}


def foreign(image: Path, file: Path) -> dict[str, object]:
    published(file, add=[image])
    return {"key": OTHER}


def made_by_builder(image: Path, file: Path) -> dict[str, object]:
    signed.write(state(image), KEY, file)
    return {}


def withdrawn_before(image: Path, file: Path) -> dict[str, object]:
    published(file, add=[image])
    published(file, withdraw=[manifest_of(image).digest().hex()])
    return {"add": [image]}


def from_the_future(image: Path, file: Path) -> dict[str, object]:
    published(file, add=[image])
    return {"now": NOW - timedelta(seconds=1)}


def begun_again(image: Path, file: Path) -> dict[str, object]:
    published(file, add=[image])
    return {"add": [image], "first": True}


def added_and_withdrawn(image: Path, file: Path) -> dict[str, object]:
    return {"add": [image], "withdraw": [manifest_of(image).digest().hex()]}


def renewed_and_withdrawn(image: Path, file: Path) -> dict[str, object]:
    published(file, add=[image])
    return added_and_withdrawn(image, file)


def elsewhere(image: Path, file: Path) -> dict[str, object]:
    return {"file": file.parent / "absent" / "lifecycle.json", "add": [image]}


NOT_STATED: dict[str, tuple[Callable[[Path, Path], dict[str, object]], type[Exception], str]] = {
    "nothing": (lambda image, file: {}, InputError, "must list an image"),
    "an image of another lock": (other_lock, InputError, "its age is unknown"),
    "an image without its lock": (without_lock, InputError, "lock.json"),
    "an unknown digest": (lambda image, file: {"withdraw": ["00" * 32]}, InputError, "lists no image 000"),
    "no days": (lambda image, file: {"add": [image], "days": 0}, InputError, "--days must be from 1 to 366"),
    "years": (lambda image, file: {"add": [image], "days": 367}, InputError, "--days must be from 1 to 366"),
    "someone else's statement": (foreign, ChangedFileError, "is not signed by the key"),
    "a builder's statement": (made_by_builder, InputError, "is the provenance of an image"),
    "a withdrawn image again": (withdrawn_before, InputError, "what was withdrawn stays so"),
    "a file that is lost": (lambda image, file: {"add": [image], "first": False}, InputError, "whose counter parties"),
    "an image that is added and withdrawn": (added_and_withdrawn, InputError, "added and withdrawn at once"),
    "an image that is renewed and withdrawn": (renewed_and_withdrawn, InputError, "added and withdrawn at once"),
    "a first one again": (begun_again, InputError, "not the publisher's first statement"),
    "in a folder that is not there": (elsewhere, InputError, "cannot be written"),
    "a statement from the future": (from_the_future, InputError, "later than this machine's clock"),
}


@pytest.mark.parametrize("name", NOT_STATED)
def test_what_a_publisher_cannot_state(image: Path, tmp_path: Path, name: str) -> None:
    make, kind, said = NOT_STATED[name]
    file = tmp_path / "lifecycle.json"
    changes = make(image, file)
    before = file.read_bytes() if file.exists() else None
    with pytest.raises(kind, match=said):
        published(changes.pop("file", file), **changes)
    assert (file.read_bytes() if file.exists() else None) == before


def test_the_verbs_take_what_is_typed(image: Path, tmp_path: Path) -> None:
    private, file = tmp_path / "team.pem", tmp_path / "lifecycle.json"
    generate_key(private, KeyType.ED25519)
    digest = manifest_of(image).digest().hex()

    def said(*words: str | Path) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "invoke", *words], cwd=source.CHECKOUT, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    said("image.lifecycle", "--key", private, "--file", file, "--add", image, "--first")
    assert "statement 2 on 1 image, until" in said(
        "image.lifecycle", "--key", private, "--file", file, "--withdraw", digest
    )
    printed = said("image.inspect", file, "--key", private.with_suffix(".pub"), "--json")
    output_schema.validate("invoke.image.inspect", printed)
    renewed = said("image.lifecycle", "--key", private, "--file", file, "--json")
    output_schema.validate("invoke.image.lifecycle", renewed)
    shown = json.loads(printed)
    assert shown["predicate"]["images"][digest]["status"] == "withdrawn"


@pytest.mark.parametrize("kind", ["the key", "a link to the key", "a life cycle", "another provenance", "none"])
def test_provenance_takes_the_place_of_no_other_file(
    image: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    private, output = tmp_path / "lab.pem", tmp_path / "output.json"
    generate_key(private, KeyType.ED25519)
    if kind == "the key":
        output = private
    elif kind == "a link to the key":
        output.symlink_to(private)
    elif kind == "a life cycle":
        published(output, add=[image])
    elif kind == "another provenance":
        signed.write(state(image), OTHER, output)
    before = output.read_bytes() if output.exists() else b""
    replaced = kind in ("another provenance", "none")
    with contextlib.nullcontext() if replaced else pytest.raises(Exit):
        verbs.provenance(Context(), key=str(private), image=f"{image}/", output=str(output))
    capsys.readouterr()
    assert (output.read_bytes() != before) is replaced


def test_what_a_statement_says_steers_no_terminal(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other tools write names as they like, also not as canonical JSON."""
    private, file, name = tmp_path / "lab.pem", tmp_path / "statement.json", "a\u009b31m\u202eb"
    generate_key(private, KeyType.ED25519)
    key = read_private_key(private)
    stated = dataclasses.replace(state(image, key), dependencies=(Dependency(name, "ab" * 32),))
    file.write_bytes(dsse.sign(json.dumps(json.loads(stated.payload()), ensure_ascii=False).encode(), key))
    verbs.inspect(Context(), file=str(file), key=str(private.with_suffix(".pub")), json=True)
    printed = capsys.readouterr().out
    assert printed.isascii()
    assert json.loads(printed)["predicate"]["buildDefinition"]["resolvedDependencies"][0]["name"] == name
