"""`policy` for a workspace in a cloud prints what it adopts, what is open, and the next commands."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from invoke.parser import Parser

from cloister import client
from cloister.attestation.policy.policy import Policy
from cloister.attestation.policy.statements import BuildersPolicy, PublisherPolicy
from cloister.cli import collection
from cloister.client.evidence.first_policy import FirstPolicy
from cloister.errors import CloisterError, InputError
from cloister.keyfile.public import read_public_key
from cloister.protocol import signingkey
from cloister.protocol.bootconfig import BootConfiguration
from cloister.protocol.descriptor import CvmEntry, Descriptor, MemberEntry
from cloister.protocol.imagemanifest import ImageEvent, ImageManifest, replayed
from tests.signed_images import event, statement

OWNER = signingkey.spki_of(ed25519.Ed25519PrivateKey.generate().public_key())
WORDS = ("policy", "--image", "manifest.json", "--workspace", "workspace.json", "--output", "first.json")


def write(folder: Path, platform: str, *names: str, events: tuple[ImageEvent, ...] = ()) -> None:
    """A manifest, and the descriptor of a workspace with these CVMs."""
    pcrs = dict.fromkeys((4, 9, 11), "11" * 32) | dict.fromkeys((12, 13), "00" * 32)
    listed = {4: events} if events else {}
    pcrs |= {4: replayed(events)} if events else {}
    image = ImageManifest(flavor="base", debug=False, inputs={}, outputs={}, pcrs=pcrs, events=listed)
    cvms = tuple(
        CvmEntry(name, "127.0.0.1:1", platform, BootConfiguration("trial", name, (signingkey.key_id(OWNER),)))
        for name in names
    )
    members = (MemberEntry("lab", OWNER, ("owner",)),)
    descriptor = Descriptor("trial", platform.split("-")[0], "base", image.digest().hex(), members, cvms, None)
    (folder / "manifest.json").write_bytes(image.encode())
    (folder / "workspace.json").write_bytes(descriptor.encode())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_policy_prints_open_members_and_next_commands(cloister, folder: Path) -> None:
    write(folder, "azure-snp", "trainer")
    done = cloister(*WORDS, "--yes")

    assert (done.code, done.err) == (0, "")
    assert "azure-snp, which relies on AMD and on Microsoft's paravisor" in done.out
    said = done.out.split("the policy rejects every\nmachine:")[1]
    for line in ("snp.minimum_tcb: {}", "azure.snp.id_key_digests: []", "azure.snp.min_guest_svn: 4294967295"):
        assert f"\n  {line}\n" in said
    assert said.count("known by  ") == 3
    assert said.index("Written: first.json") < said.index("until the 3 members above are filled in")
    policy = Policy.parse((folder / "first.json").read_bytes())
    assert policy.azure is not None and policy.azure.snp is not None and policy.azure.snp.id_key_digests == ()

    steps = [line.strip() for line in done.out.splitlines() if line.startswith("  cloister ")]
    assert steps == [
        "cloister attest --cvm trainer --workspace workspace.json --policy first.json --save trainer-evidence.json "
        "--fetch",
        "cloister policy --from-evidence trainer-evidence.json --image manifest.json --output trainer-policy.json "
        "--fetch",
    ]
    for step in steps:
        parsed = Parser(contexts=collection().to_contexts()).parse_argv(shlex.split(step)[1:])
        assert parsed.unparsed == []


def test_policy_for_secure_boot_takes_the_statement_and_passes_it_on(cloister, folder: Path) -> None:
    events = tuple(event(text) for text in ("action", "separator", "UKI", "kernel"))
    write(folder, "azure-snp", "trainer", events=events)
    image = ImageManifest.parse((folder / "manifest.json").read_bytes())
    (folder / "signed.json").write_bytes(statement(image).encode())
    done = cloister(*WORDS, "--signed", "signed.json", "--yes")

    assert (done.code, done.err) == (0, "")
    policy = Policy.parse((folder / "first.json").read_bytes())
    assert policy.images[0].pcrs[4].hex() == replayed(events[:3])
    assert "--image manifest.json --signed signed.json --output trainer-policy.json" in done.out


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("absent.json", "The statement about a signed image absent.json cannot be read: No such file or directory."),
        ("manifest.json", "manifest.json is the manifest of an image, not the statement about a signed image."),
        ("other.json", "The statement about a signed image is about another image"),
    ],
)
def test_unusable_statement_is_named(cloister, folder: Path, file: str, says: str) -> None:
    write(folder, "azure-snp", "trainer")
    other = ImageManifest("other", False, {}, {}, dict.fromkeys((4, 9, 11, 12, 13), "00" * 32))
    (folder / "other.json").write_bytes(statement(other).encode())
    done = cloister(*WORDS, "--signed", file, "--yes")

    assert done.code == 2
    assert says in done.err
    assert not (folder / "first.json").exists()


@pytest.mark.parametrize("platform", ["azure-snp", "azure-tdx", "gcp-snp", "gcp-tdx"])
def test_workspace_in_every_cloud_makes_a_policy(cloister, folder: Path, platform: str) -> None:
    write(folder, platform, "first", "second")
    said = json.loads(cloister(*WORDS, "--yes", "--json").out)

    assert Policy.parse((folder / "first.json").read_bytes()).platforms == (platform,)
    assert said["unfilled"] and len(said["next"]) == 2
    assert {one["member"] for one in said["taken"]} >= {"platforms", "images", "boot_configuration.cvms"}
    narrowed = cloister(*WORDS[:-1], "second.json", "--cvm", "second", "--yes")
    assert "--cvm second" in narrowed.out
    assert "Repeat this for each machine" not in narrowed.out
    both = cloister(*WORDS[:-1], "both.json", "--yes")
    assert "Repeat this for each machine: first, second." in both.out


def test_policy_is_not_written_unless_its_party_confirms(folder: Path) -> None:
    write(folder, "azure-snp", "trainer")
    path, seen = folder / "first.json", []

    def start() -> FirstPolicy:
        return client.start_policy(folder / "manifest.json", folder / "workspace.json")

    def answer(given: bool) -> Callable[[FirstPolicy], bool]:
        return lambda started: seen.append(started) or given

    with pytest.raises(CloisterError, match="No policy was written"):
        client.write_first_policy(path, start, answer(False))
    assert (path.exists(), len(seen)) == (False, 1)

    written = client.write_first_policy(path, start, answer(True))
    assert Policy.parse(path.read_bytes()) == written.policy == seen[1].policy
    with pytest.raises(InputError, match="is not overwritten"):
        client.write_first_policy(path, lambda: pytest.fail("started"), answer(True))


def test_invalid_setting_is_an_error_before_anything_is_written(
    cloister, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, "azure-snp", "trainer")
    monkeypatch.setenv("CLOISTER_FETCH", "maybe")

    assert cloister(*WORDS, "--yes").code == 2
    assert not (folder / "first.json").exists()


def test_next_commands_omit_what_the_environment_sets(cloister, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, "gcp-tdx", "trainer")
    monkeypatch.setenv("CLOISTER_WORKSPACE", "workspace.json")
    monkeypatch.setenv("CLOISTER_FETCH", "1")
    asked = cloister("policy", "--image", "manifest.json", "--output", "other/first.json", "--yes")
    assert "--save other/trainer-evidence.json --collateral collateral\n" in asked.out
    monkeypatch.setenv("CLOISTER_COLLATERAL", "vendors")
    done = cloister("policy", "--image", "manifest.json", "--output", "mine/first.json", "--yes")

    assert done.code == 0
    assert "attest --cvm trainer --policy mine/first.json --save mine/trainer-evidence.json\n" in done.out


def test_rejection_names_open_members(cloister, machine, parties, folder: Path) -> None:
    running = (parties.folder / "workspace.json").rename(folder / "running.json")
    write(folder, "azure-tdx", "main")
    assert cloister(*WORDS, "--yes").code == 0
    where = ("--workspace", running, "--policy", "first.json")
    done = cloister("attest", *where, "--save", "evidence.json")

    assert done.code == 3
    assert (folder / "evidence.json").exists()
    assert "Your policy rejects every machine until you fill in azure.tdx.mrtds, azure.tdx.mrseams." in done.err


@pytest.fixture
def builders(folder: Path) -> Path:
    """Files of two builders' and a publisher's public keys, and one of a private key."""
    for name in ("lab", "clinic", "team"):
        client.generate_key(folder / f"{name}.pem", client.KeyType.ED25519)
    write(folder, "azure-snp", "trainer")
    return folder


DEMANDS = ("--builder", "lab=lab.pub", "--builder", "clinic=clinic.pub", "--builders-required", "1", "--publisher",
           "platform-team=team.pub", "--maximum-age", "120")  # fmt: skip


def test_statements_of_others_are_demanded_and_shown(cloister, builders: Path) -> None:
    said = json.loads(cloister(*WORDS, *DEMANDS, "--yes", "--json").out)
    keys = {name: read_public_key(builders / f"{name}.pub") for name in ("lab", "clinic", "team")}

    policy = Policy.parse((builders / "first.json").read_bytes())
    assert policy.builders == BuildersPolicy(1, {"lab": keys["lab"].spki, "clinic": keys["clinic"].spki})
    assert policy.publisher == PublisherPolicy("platform-team", keys["team"].spki, 120)
    shown = {one["member"]: (one["value"], one["fingerprint"]) for one in said["taken"]}
    assert shown["builders.keys.lab"] == ("lab, Ed25519 key", keys["lab"].id)
    assert shown["builders.keys.clinic"][1] == keys["clinic"].id
    assert shown["builders.required"] == ("1 of 2", "")
    assert shown["publisher.key"] == ("platform-team, Ed25519 key", keys["team"].id)
    # The next command writes the same demands into the policy that is filled in.
    assert [word in said["next"][1] for word in DEMANDS] == [True] * len(DEMANDS)


def test_all_builders_are_demanded_without_a_number(cloister, builders: Path) -> None:
    assert cloister(*WORDS, *DEMANDS[:4], "--yes").code == 0
    policy = Policy.parse((builders / "first.json").read_bytes())
    assert policy.builders and policy.builders.required == 2
    assert policy.publisher is None


def test_policy_that_demands_statements_says_that_later_commands_need_them(cloister, builders: Path) -> None:
    said = "pass --collateral DIR with each later command"
    for number, (words, needs) in enumerate((((), False), (DEMANDS, True))):
        shown = " ".join(cloister(*WORDS[:-1], f"{number}.json", *words, "--yes").out.split())
        assert (said in shown) is needs


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--builder", "lab.pub"), "--builder must be NAME=PATH, not 'lab.pub'"),
        (("--builder", "lab=lab.pub", "--builder", "lab=clinic.pub"), "names lab twice"),
        (("--builder", "lab=lab.pub", "--builder", "clinic=lab.pub"), "same key for clinic and lab"),
        (("--builder", "lab=lab.pem"), "lab.pem"),
        (("--builder", "lab=absent.pub"), "absent.pub"),
        (("--builder", "lab=manifest.json"), "manifest.json"),
        (("--builder", "Lab A=lab.pub"), "Lab A"),
        (("--builder", "lab=lab.pub", "--builders-required", "2"), "demands 2 of 1 builders"),
        (("--builder", "lab=lab.pub", "--builders-required", "-1"), "demands -1 of 1 builders"),
        (("--builder", "lab=lab.pub", "--builders-required", "0"), "demands 0 of 1 builders"),
        (("--builder", "lab=lab.pub", "--builders-required", "one"), "must be an integer, not 'one'"),
        (("--publisher", "team=team.pub", "--maximum-age", "9" * 20), "at most 9 digits, not one of 20"),
        (("--publisher", "team=team.pub", "--maximum-age", "0"), "maximum_age_days"),
        (("--builders-required", "1"), "--builder NAME=FILE"),
        (("--maximum-age", "10"), "--publisher NAME=FILE"),
        (("--publisher", "team=team.pub", "--maximum-age", "-1"), "maximum_age_days"),
        (("--publisher", "team.pub"), "--publisher must be NAME=PATH"),
    ],
)
def test_demands_that_no_policy_can_have_write_nothing(
    cloister, builders: Path, words: tuple[str, ...], says: str
) -> None:
    done = cloister(*WORDS, *words, "--yes")
    assert done.code == 2
    assert says in done.err
    assert "the document" not in done.err  # there is no policy yet that one could correct
    assert not (builders / "first.json").exists()
