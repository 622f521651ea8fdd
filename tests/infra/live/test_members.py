"""Members in a workspace's configuration, written by the real pulumi."""

import base64
import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from invoke.exceptions import Exit

from cloister import client
from cloister.cli.shell import show
from cloister.errors import InputError
from cloister.keyfile.public import read_public_key
from cloister.protocol.invitation import Invitation, InvitationAnswer
from infra import paths, report, tasks
from infra.configuration import workspace
from infra.configuration.validation import ConfigurationError
from infra.live import members, workspaces
from infra.pulumi_cli import engine
from infra.pulumi_cli.project import Project
from infra.registry import registries

CONFIGURATIONS = Path(__file__).parents[1] / "configurations"


@pytest.fixture
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a new stack ``lab``."""
    if engine.find() is None:
        pytest.fail("There is no Pulumi engine on this machine: invoke setup")
    for name in ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOISTER_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PULUMI_BACKEND_URL", (tmp_path / "state").as_uri())
    (tmp_path / "Pulumi.yaml").write_bytes((paths.CHECKOUT / "infra" / "Pulumi.yaml").read_bytes())
    monkeypatch.setattr(workspaces, "PROJECT", replace(workspaces.PROJECT, folder=tmp_path))
    _create("lab", {"backend": "local", "image": "base", "cvms[0].name": "trainer", "cvms[0].vcpus": 2})
    return tmp_path / "Pulumi.lab.yaml"


def _create(name: str, settings: dict[str, str | int]) -> None:
    workspaces.PROJECT.create(name)
    workspaces.PROJECT.configure(name, settings)


def public(folder: Path, name: str) -> tuple[Path, str]:
    key = ed25519.Ed25519PrivateKey.generate().public_key()
    path = folder / f"{name}.pub"
    path.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path, base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


@pytest.mark.engine
def test_members_can_be_added_changed_and_removed(configuration: Path, tmp_path: Path):
    lab, _ = public(tmp_path, "lab")
    hospital, hospital_key = public(tmp_path, "hospital")
    newer, newer_key = public(tmp_path, "newer")
    members.add("lab", "lab", lab, ("owner", "auditor"))
    members.add("lab", "hospital-1", hospital, ("dataset-provider",))
    members.add("lab", "lab", newer, ("owner",))

    value = yaml.safe_load(configuration.read_text())["config"][workspaces.KEY]
    assert value == {
        "backend": "local",
        "image": "base",
        "cvms": [{"name": "trainer", "vcpus": 2}],
        "members": [
            {"name": "lab", "key": newer_key, "roles": ["owner"]},
            {"name": "hospital-1", "key": hospital_key, "roles": ["dataset-provider"]},
        ],
    }
    assert workspace.parse("lab", value).owners()[0].name == "lab"

    members.remove("lab", "lab")
    assert [entry["name"] for entry in members.entries("lab")] == ["hospital-1"]
    with pytest.raises(InputError, match="The workspace has no member 'lab'"):
        members.remove("lab", "lab")


@pytest.mark.engine
@pytest.mark.parametrize("name", ["123", pytest.param("true", marks=pytest.mark.rare)])
def test_name_that_looks_like_a_number_or_boolean_stays_a_string(configuration: Path, tmp_path: Path, name: str):
    key, _ = public(tmp_path, "key")
    _create(name, {"backend": "local", "image": "base", "cvms[0].name": name, "cvms[0].vcpus": 2})
    members.add(name, name, key, ("owner",))
    made = workspace.parse(name, workspaces.PROJECT.configuration(name))
    assert (made.name, made.cvms[0].name, made.cvms[0].vcpus, made.members[0].name) == (name, name, 2, name)
    assert workspaces.PROJECT.selected("") == name


def test_key_has_the_same_digest_in_every_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path, text = public(tmp_path, "lab")
    forms = (text, text.rstrip("=").translate(str.maketrans("+/", "-_")), path.read_text())
    report.members([{"name": "lab", "key": form, "roles": ["owner"]} for form in forms], as_json=True)
    digest = hashlib.sha256(base64.b64decode(text)).hexdigest()
    assert [row["key_digest"] for row in json.loads(capsys.readouterr().out)] == [digest] * 3


@pytest.mark.engine
def test_invalid_member_is_not_written(configuration: Path, tmp_path: Path):
    lab, _ = public(tmp_path, "lab")
    members.add("lab", "lab", lab, ("owner",))
    before = configuration.read_bytes()
    for name, path, roles, sentence in (
        ("other", lab, ("owner",), "is already the key of the member 'lab'"),
        ("lab", lab, ("king",), "Unknown role: king"),
        ("lab", lab, (), "at least one role"),
        ("lab", tmp_path / "absent.pub", ("owner",), "cannot be read"),
        ("lab", Path(os.devnull), ("owner",), "Is a device, not a file"),
    ):
        with pytest.raises(InputError, match=sentence):
            members.add("lab", name, path, roles)
    assert configuration.read_bytes() == before


@pytest.mark.engine
def test_invited_member_is_admitted_once_with_the_roles_of_the_invitation(
    configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    key, _ = public(tmp_path, "owner")
    members.add("lab", "lab", key, ("owner",))
    sent, other, answer = (tmp_path / name for name in ("sent.json", "other.json", "answer.json"))
    members.invite("lab", "hospital-1", ("dataset-provider", "auditor"), sent)
    members.invite("lab", "hospital-2", ("dataset-provider",), other)
    joined = client.join(sent, answer, tmp_path / "h1.pem")

    # An answer counts only for the last invitation, and only in its workspace.
    replaced = tmp_path / "replaced.json"
    client.join(other, replaced, tmp_path / "h2.pem")
    members.invite("lab", "hospital-2", ("auditor",), other)
    foreign = tmp_path / "foreign.json"
    elsewhere = Invitation.new("elsewhere", "hospital-1", ("owner",))
    foreign.write_bytes(InvitationAnswer.sign(elsewhere, joined.key.private).encode())
    # Someone who knows the invitation cannot give himself other roles: an answer has none.
    raised = tmp_path / "raised.json"
    forged = replace(joined.invitation, roles=("owner",))
    raised.write_bytes(InvitationAnswer.sign(forged, joined.key.private).encode())
    before = configuration.read_bytes()
    for path, sentence in (
        (replaced, "answers another invitation than the last one to hospital-2"),
        (raised, "answers another invitation than the last one to hospital-1"),
        (foreign, "an invitation to the workspace elsewhere, not to lab"),
        (sent, "sent.json: The answer to an invitation"),
        (tmp_path / "absent.json", "cannot be read"),
    ):
        with pytest.raises(InputError, match=sentence):
            members.answered("lab", path)
    assert configuration.read_bytes() == before

    # What is admitted is the key that was compared, and not what its file has by then.
    compared = members.answered("lab", answer)
    client.join(sent, answer, tmp_path / "swapped.pem")
    swapped = members.answered("lab", answer)
    assert members.admit("lab", compared).key_digest() == joined.key.id
    with pytest.raises(InputError, match="The invitation to hospital-1 is not open any more"):
        members.admit("lab", swapped)
    parsed = workspace.parse("lab", workspaces.PROJECT.configuration("lab"))
    assert {one.name: one.roles for one in parsed.members} == {
        "lab": ("owner",),
        "hospital-1": ("auditor", "dataset-provider"),
    }
    assert [one.member for one in parsed.invitations] == ["hospital-2"]
    with pytest.raises(InputError, match="hospital-1 has no open invitation to the workspace lab"):
        members.answered("lab", answer)

    client.join(other, answer, tmp_path / "h2.pem")
    members.admit("lab", members.answered("lab", answer))
    assert workspace.parse("lab", workspaces.PROJECT.configuration("lab")).invitations == ()


@pytest.mark.rare
@pytest.mark.engine
def test_admission_that_is_cut_off_leaves_no_invitation_to_answer_again(
    configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    sent, answer = tmp_path / "sent.json", tmp_path / "answer.json"
    members.invite("lab", "hospital-1", ("dataset-provider",), sent)
    client.join(sent, answer, tmp_path / "h1.pem")
    compared = members.answered("lab", answer)

    def cut(self: Project, name: str, settings: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Project, "configure", cut)
        members.admit("lab", compared)
    assert (members.entries("lab"), members.invitations("lab")) == ([], [])


@pytest.mark.rare
@pytest.mark.engine
def test_admission_says_whose_key_it_replaces_and_an_invitation_can_be_taken_back(
    configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    first, _ = public(tmp_path, "first")
    members.add("lab", "hospital-1", first, ("dataset-provider",))
    sent, answer = tmp_path / "sent.json", tmp_path / "answer.json"
    members.invite("lab", "hospital-1", ("dataset-provider",), sent)
    client.join(sent, answer, tmp_path / "h1.pem")
    known = read_public_key(first).spki
    monkeypatch.setattr(show, "confirmed", lambda question: False)
    tasks.admit.body(None, file=str(answer), stack="lab")
    said = capfd.readouterr().out
    assert f"Replaces     the key {hashlib.sha256(known).hexdigest()} of the member with this name\n" in said
    assert said.endswith("Nothing was changed.\n")

    assert members.remove("lab", "hospital-1")
    with pytest.raises(InputError, match="no open invitation"):
        members.answered("lab", answer)
    members.invite("lab", "hospital-1", ("dataset-provider",), sent)
    assert not members.remove("lab", "hospital-1")
    with pytest.raises(InputError, match="The workspace has no member 'hospital-1'"):
        members.remove("lab", "hospital-1")


@pytest.mark.engine
def test_missing_stack_is_reported_with_the_existing_ones(configuration: Path):
    assert workspaces.PROJECT.selected("lab") == workspaces.PROJECT.selected("") == "lab"
    with pytest.raises(InputError) as caught:
        workspaces.PROJECT.selected("labb")
    assert (caught.value.message, caught.value.hint) == ("The workspace 'labb' does not exist.", "Workspaces: lab.")


@pytest.mark.engine
def test_workspace_that_is_not_up_has_no_descriptor(configuration: Path):
    assert workspaces.cvms("lab") == ()
    with pytest.raises(InputError, match="is not up"):
        workspaces.descriptor("lab")


@pytest.mark.engine
def test_invalid_workspace_is_reported_before_the_engine_starts(
    configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    handed: list[tuple[str, ...]] = []
    monkeypatch.setattr(Project, "hand_over", lambda self, *words, also=None: handed.append(words))

    with pytest.raises(Exit) as ended:
        tasks.up.body(None, stack="lab", yes=True)
    assert (ended.value.code, handed) == (2, [])
    assert capfd.readouterr().err == (
        "Error: The configuration of workspace 'lab' is invalid:\n  workspace.members: is missing.\n"
        "Add an owner: invoke member.add NAME --key FILE --roles owner --stack lab\n"
    )

    for planned in (False, True):
        with pytest.raises(ConfigurationError):
            workspaces.reach("lab", planned=planned)

    members.add("lab", "lab", public(tmp_path, "lab")[0], ("owner",))
    tasks.up.body(None, stack="lab", yes=True)
    assert [words[0] for words in handed] == ["up"]


@pytest.mark.engine
def test_budget_that_azure_would_reject_is_rejected_before_the_engine_starts(
    configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    handed: list[tuple[str, ...]] = []
    monkeypatch.setattr(Project, "hand_over", lambda self, *words, also=None: handed.append(words))
    complete = yaml.safe_load((CONFIGURATIONS / "complete-azure.yaml").read_text())["value"]
    value = complete | {"budget": complete["budget"] | {"start": "2020-01-01"}}
    configuration.write_text(yaml.safe_dump({"config": {workspaces.KEY: value}}))

    with pytest.raises(Exit) as ended:
        tasks.up.body(None, stack="lab", yes=True)
    assert (ended.value.code, handed) == (2, [])
    assert "workspace.budget.start: must be this month" in capfd.readouterr().err


@pytest.mark.engine
def test_workspace_with_a_missing_registry_is_not_created(
    configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    folder = tmp_path / "registries"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_bytes((registries.PROJECT.folder / "Pulumi.yaml").read_bytes())
    monkeypatch.setattr(registries, "PROJECT", replace(registries.PROJECT, folder=folder))
    place = {"project": "my-project", "region": "europe-west4", "zone": "b", "tee": "tdx", "memory": "16GiB"}
    words = place | {"backend": "gcp", "ingress": "198.51.100.0/24", "registry": "nope"}

    with pytest.raises(Exit) as ended:
        tasks.new.body(None, name="covid", **words)
    assert ended.value.code == 2
    assert capfd.readouterr().err == (
        "Error: The registry 'nope' does not exist.\nCreate one: invoke registry.new NAME\n"
    )
    assert set(workspaces.PROJECT.names()) == {"lab"}
