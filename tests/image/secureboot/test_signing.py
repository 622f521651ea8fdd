"""A signed image: beside the image, equal each time, and about exactly that image."""

import hashlib
import json
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest

from cloister.errors import InputError
from cloister.protocol.canonical import FormatError
from cloister.protocol.imagemanifest import ImageManifest, ImageOutput, replayed
from cloister.protocol.signedimage import SignedImage
from image.build import measure, output
from image.errors import ImageError
from image.formats import disk, verity
from image.publish.artefact import Artefact
from image.secureboot import authenticode, keys, prediction, signing
from image.secureboot.keys import Certificates, KeysError
from tests.image.build.test_measure import small_uki
from tests.image.secureboot.test_enrolment import EFITOOLS


@dataclass(frozen=True)
class Signed:
    """The folder of an image, its files before it was signed, and the statement."""

    image: Path
    before: dict[str, bytes]
    statement: SignedImage

    @property
    def folder(self) -> Path:
        return signing.folder(self.image)


@pytest.fixture(scope="module")
def team_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    keys.create(folder, "Hospital")
    return folder


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A small image, in a folder as `image.build` writes it."""
    return small_image(tmp_path)


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory, team_keys: Path) -> Signed:
    """Another one, signed once for all tests that only look at it."""
    folder = small_image(tmp_path_factory.mktemp("signed"))
    before = contents(folder)
    return Signed(folder, before, signing.sign(folder, team_keys))


def small_image(into: Path) -> Path:
    folder, uki, root = into / "small", small_uki(), b"root" * 2048
    tree = verity.hash_tree(root, salt=bytes(32), identifier=uuid.UUID(int=1))
    files = {"uki.efi": uki, "root.erofs": root, "root.verity": tree.contents}
    files["disk.raw"] = disk.build(uki, root, tree.contents, tree.root_hash)
    registers = measure.predict(uki)
    manifest = ImageManifest(
        flavor="small",
        debug=False,
        inputs={},
        outputs={name: ImageOutput(hashlib.sha256(data).hexdigest(), len(data)) for name, data in files.items()},
        pcrs={index: replayed(events) for index, events in registers.items()},
        events=registers,
    )
    output.write({**files, output.MANIFEST: manifest.encode()}, folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_image_itself_stays_as_it_is(signed: Signed) -> None:
    assert contents(signed.image) == signed.before
    made = contents(signed.image.with_name("small-signed"))
    assert made.pop("manifest.json") == signed.before["manifest.json"]
    assert SignedImage.parse(made.pop("signed.json")) == signed.statement
    assert {name: (one.sha256, one.size) for name, one in signed.statement.outputs.items()} == {
        name: (hashlib.sha256(data).hexdigest(), len(data)) for name, data in made.items()
    }


def test_same_image_and_keys_give_the_same_bytes(signed: Signed, image: Path, team_keys: Path) -> None:
    signing.sign(image, team_keys)

    assert contents(signing.folder(image)) == contents(signed.folder)


def test_disk_differs_only_in_the_kernel_image_and_its_table_is_the_same(signed: Signed, team_keys: Path) -> None:
    """So that PCR 5 is the same, too."""
    before, after = (signed.image / "disk.raw").read_bytes(), (signed.folder / "disk.raw").read_bytes()

    uki = (signed.folder / prediction.UKI).read_bytes()
    assert authenticode.is_signed_by(uki, Certificates.load(team_keys).db)
    assert after.count(uki) == 1
    assert (len(before), before[: 34 * 512], before[-33 * 512 :]) == (len(after), after[: 34 * 512], after[-33 * 512 :])


def test_private_key_is_in_no_output(signed: Signed, team_keys: Path) -> None:
    private = [path.read_bytes().splitlines()[1] for path in team_keys.glob("*.key")]

    assert len(private) == 3
    assert not any(line in data for data in contents(signed.folder).values() for line in private)


def test_predicted_registers_are_those_of_the_statement(signed: Signed) -> None:
    registers, plain = (prediction.predict_folder(folder) for folder in (signed.folder, signed.image))

    assert {index: replayed(registers[index]) for index in (4, 7)} == signed.statement.pcrs
    assert {index: registers[index] for index in (9, 11, 12, 13)} == {index: plain[index] for index in (9, 11, 12, 13)}
    assert sorted(registers) == [4, 7, 9, 11, 12, 13]


def test_signed_disk_is_published_under_a_name_of_its_own(signed: Signed) -> None:
    statement, found = signed.statement, Artefact.find(signed.folder, ".vhd")

    assert found.name == f"cloister-small-{statement.digest().hex()}.vhd"
    assert (found.sha256, found.size) == (statement.outputs["disk.vhd"].sha256, statement.outputs["disk.vhd"].size)
    with found.open():
        pass


@pytest.mark.parametrize("name", ["uki.efi", "root.erofs", "root.verity"])
def test_image_that_differs_from_its_manifest_is_not_signed(image: Path, team_keys: Path, name: str) -> None:
    (image / name).write_bytes((image / name).read_bytes()[:-1] + b"x")

    with pytest.raises(ImageError, match=f"differs from its manifest: {name}"):
        signing.sign(image, team_keys)
    assert not signing.folder(image).exists()


def test_signed_image_is_not_signed_again_and_no_image_is_replaced(image: Path, team_keys: Path) -> None:
    signing.sign(image, team_keys)
    with pytest.raises(InputError, match="holds a signed image"):
        signing.sign(signing.folder(image), team_keys)
    (signing.folder(image) / "signed.json").unlink()
    with pytest.raises(InputError, match="holds an image that is not signed"):
        signing.sign(image, team_keys)


def test_missing_key_is_named_with_what_to_do(image: Path, tmp_path: Path) -> None:
    with pytest.raises(KeysError, match=r"Cannot read .*PK\.key: No such file") as refused:
        signing.sign(image, tmp_path)
    assert "invoke image.keys" in (refused.value.hint or refused.value.remedy)


def test_private_key_that_others_can_read_is_refused(image: Path, team_keys: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(team_keys, tmp_path / "copied")
    (copied / "KEK.key").chmod(0o644)
    with pytest.raises(KeysError, match=r"Other users can read the private key .*KEK\.key") as refused:
        signing.sign(image, copied)
    assert refused.value.hint == f"chmod 600 {copied / 'KEK.key'}"


def test_statement_about_another_image_or_program_is_refused(signed: Signed) -> None:
    statement, manifest = signed.statement, output.read_manifest(signed.image)
    statement.check(manifest)

    other = ImageManifest("other", False, {}, {}, manifest.pcrs, events=manifest.events)
    with pytest.raises(FormatError, match="is about another image"):
        statement.check(other)
    forged = SignedImage(
        statement.manifest, statement.certificates, statement.outputs, statement.pcrs, {**statement.events, 4: ()}
    )
    with pytest.raises(FormatError, match="PCR 4 does not follow"):
        forged.check(manifest)


def _changed(statement: bytes, before: bytes, after: bytes) -> bytes:
    assert before in statement
    return statement.replace(before, after, 1)


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (b'"version":1', b'"version":2', "version"),
        (b'"manifest":"', b'"other":1,"manifest":"', "other"),
        (b'"KEK":"', b'"KEY":"', "KE"),
        (b'"pcrs":{"4":"', b'"pcrs":{"4":"00', "pcrs"),
        (b"EV_SEPARATOR", b"EV_SEPARATOR\\n", "event"),
    ],
)
def test_invalid_statement_is_refused(signed: Signed, before: bytes, after: bytes, says: str) -> None:
    encoded = signed.statement.encode()

    assert SignedImage.parse(encoded).encode() == encoded
    with pytest.raises(FormatError, match=says):
        SignedImage.parse(_changed(encoded, before, after))


def test_invalid_certificate_is_refused(signed: Signed) -> None:
    """Otherwise a local machine's firmware, or a registry, would be the first to notice."""
    value = json.loads(signed.statement.encode())
    value["certificates"]["db"] = "AAAA"
    with pytest.raises(FormatError, match="the certificate of db is not a certificate"):
        SignedImage.parse(json.dumps(value).encode())


def test_events_that_do_not_lead_to_the_value_are_refused(signed: Signed) -> None:
    digest = signed.statement.events[7][0].sha256.encode()

    with pytest.raises(FormatError, match="the events of PCR 7 do not lead to its value"):
        SignedImage.parse(_changed(signed.statement.encode(), digest, b"00" * 32))


def test_keys_of_efitools_sign_nothing_without_the_private_key_of_db(image: Path) -> None:
    with pytest.raises(KeysError, match=r"db\.key"):
        signing.sign(image, EFITOOLS)
