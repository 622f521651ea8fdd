"""A policy for raw evidence opens nothing: every verb but `verify-evidence` refuses it before it connects."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloister.attestation.binding import SessionBinding
from cloister.attestation.errors import PolicyError
from cloister.attestation.testkit import LocalMachine, SnpMachine, evidence_policy
from cloister.cli import collection
from cloister.client.party.party import Party
from cloister.protocol import signingkey
from cloister.protocol.bootconfig import BootConfiguration
from cloister.protocol.descriptor import CvmEntry, Descriptor, MemberEntry
from tests.cli.test_verify_evidence import NOW, manifest_of
from tests.client.parties import Parties
from tests.shared_files import VECTORS

BINDING = SessionBinding(b"n" * 32, b"t" * 32, b"h" * 32)

WORDS: dict[str, tuple[str, ...]] = {
    "approve": (),
    "attest": (),
    "audit": ("events.jsonl",),
    "consent": ("--rule", "rule.yaml"),
    "doctor": (),
    "events": (),
    "export": ("manifest.json",),
    "import": ("computation.cloister",),
    "logs": (),
    "metrics": (),
    "page": (),
    "reject": (),
    "report": ("results.zip",),
    "reset": (),
    "result": (),
    "rule": ("manifest.json", "--until", "2027-01-01"),
    "run": (),
    "start": (),
    "status": (),
    "stop": (),
    "upload-algorithm": ("train.py",),
    "upload-data": ("data/h1.csv",),
    "usage": ("results.zip",),
    "verify-evidence": ("bundle",),
    "verify-result": ("results.zip",),
    "watch": (),
    "withdraw": (),
}
"""What each verb with the option --policy needs besides the shared options."""

MACHINE = SnpMachine.create_at(NOW)
POLICY = evidence_policy(MACHINE.policy()).encode()
BUNDLE = LocalMachine.create(NOW).evidence(BINDING).encode_json()
SHARED = {"key": "lab.pem", "workspace": "workspace.json", "manifest": "manifest.json"}


def options_of(verb: str) -> set[str]:
    task = collection().tasks[verb]
    return {one.name for one in task.get_arguments() if one.name not in (task.positional or ())}


@pytest.fixture(scope="module")
def listener() -> Iterator[socket.socket]:
    """A port that notices connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


@pytest.fixture(scope="module")
def party_folder(listener: socket.socket, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a party has, except that its policy is one for raw evidence. No test changes it."""
    parties = Parties.make(tmp_path_factory.mktemp("party"))
    manifest, lab = parties.manifest(), parties.keys["lab"].public
    port = listener.getsockname()[1]
    cvm = CvmEntry("one", f"127.0.0.1:{port}", "local", BootConfiguration("trial", "one", (signingkey.key_id(lab),)))
    members = (MemberEntry("lab", lab, ("owner",)),)
    descriptor = Descriptor("trial", "local", "base", manifest.digest().hex(), members, (cvm,), None)
    (parties.folder / "workspace.json").write_bytes(descriptor.encode())
    (parties.folder / "policy.json").write_bytes(POLICY)
    (parties.folder / "bundle").write_bytes(BUNDLE)
    for name in ("events.jsonl", "results.zip", "rule.yaml", "computation.cloister"):
        (parties.folder / name).write_bytes(b"nothing yet")
    return parties.folder


@pytest.fixture
def folder(party_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The party's folder, as the current one."""
    monkeypatch.chdir(party_folder)
    return party_folder


def test_table_has_every_verb_with_the_option() -> None:
    assert set(WORDS) == {verb for verb in collection().tasks if "policy" in options_of(verb)}


@pytest.mark.parametrize("verb", WORDS)
def test_every_verb_refuses_a_policy_for_raw_evidence(
    cloister, folder: Path, listener: socket.socket, verb: str
) -> None:
    known = options_of(verb) - ({"workspace"} if verb == "doctor" else set())
    shared = [word for name, file in SHARED.items() if name in known for word in (f"--{name}", file)]
    before = set(folder.iterdir())
    done = cloister(verb, *WORDS[verb], *shared, "--policy", "policy.json")

    # `doctor` lists what is wrong. With a workspace it also tries the port, whatever the policy is, and sends nothing.
    assert done.code == (1 if verb == "doctor" else 2), done.err
    assert "is for raw evidence (kind: evidence)" in (done.out if verb == "doctor" else done.err)
    assert "Traceback" not in done.err
    assert set(folder.iterdir()) == before
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_policy_of_the_environment_is_refused_too(cloister, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOISTER_POLICY", "policy.json")
    done = cloister("attest", "--workspace", "workspace.json")

    assert done.code == 2
    assert "policy.json: The policy is for raw evidence" in done.err
    assert "cloister policy --image MANIFEST --workspace FILE" in done.err


def test_party_in_a_program_refuses_it_at_once() -> None:
    with pytest.raises(PolicyError, match="is for raw evidence"):
        Party(policy=evidence_policy(MACHINE.policy()))  # ty: ignore[invalid-argument-type]


def test_raw_evidence_under_a_session_policy_says_what_to_do(cloister, tmp_path: Path) -> None:
    (tmp_path / "policy.json").write_bytes(MACHINE.policy().encode())
    (tmp_path / "report").write_bytes(MACHINE.processor.report())
    done = cloister("verify-evidence", tmp_path / "report", "--policy", tmp_path / "policy.json")

    assert (done.code, done.out) == (2, "")
    assert "cloister policy --from-evidence FILE" in done.err
    missing = cloister("verify-evidence", tmp_path / "report")
    assert missing.code == 2
    assert "policy --from-evidence FILE" in missing.err


def test_report_of_a_simulated_processor_makes_no_policy(cloister, tmp_path: Path) -> None:
    (tmp_path / "report").write_bytes(MACHINE.processor.report())
    (tmp_path / "table").write_bytes(MACHINE.processor.table())
    words = ("policy", "--from-evidence", tmp_path / "report", tmp_path / "table", "--output", tmp_path / "mine.json")
    done = cloister(*words, "--yes")

    assert done.code == 3
    assert "not shown to be genuine" in done.err
    assert not (tmp_path / "mine.json").exists()


def test_bundle_needs_the_manifest_of_its_image_and_a_report_none(cloister, tmp_path: Path) -> None:
    (tmp_path / "image.json").write_bytes(manifest_of(MACHINE))
    (tmp_path / "bundle").write_bytes(MACHINE.evidence(BINDING).encode())
    (tmp_path / "report").write_bytes(MACHINE.processor.report())
    without = cloister("policy", "--from-evidence", tmp_path / "bundle", "--yes")
    assert without.code == 2
    assert "--image MANIFEST" in without.err
    superfluous = cloister(
        "policy", "--from-evidence", tmp_path / "report", "--image", tmp_path / "image.json", "--yes"
    )
    assert superfluous.code == 2
    assert "Omit --image" in superfluous.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "--image"),
        (("report",), "does not know the word 'report'"),
        (("--from-evidence", "absent"), "cannot be read"),
        (("--from-evidence", "report", "--at", "yesterday"), "--at is not a day or a time"),
        (("--image", "absent", "--at", "2026-01-31"), "--at is the time of evidence"),
        (("--from-evidence", "report", "report"), "a second SEV-SNP report"),
        (("--from-evidence", "report", "--cvm", "one"), "cannot be combined"),
        (("--from-evidence", "report", "--allow-debug"), "cannot be combined"),
    ],
    ids=str,
)
def test_invalid_words_are_input_errors(
    cloister, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "report").write_bytes(MACHINE.processor.report())
    done = cloister("policy", *words, "--yes")

    assert done.code == 2
    assert says in done.err


REAL = {
    "milan": (("snp/milan_attestation_report.bin", "snp/milan_vcek.pem", "snp/ask_ark_milan.pem"), {"snp-crl"}),
    "turin": (("snp/turin_attestation_report.bin", "snp/turin_vcek.pem", "snp/ask_ark_turin_vcek.pem"), {"snp-crl"}),
    "debug": (
        ("snp/milan_v2_debug_report.bin", "snp/milan_v2_debug_vcek.der", "snp/ask_ark_milan.pem"),
        {"snp-crl", "snp-debug"},
    ),
    "tdx": (("tdx/quote_v5_sample.dat",), {"tdx-tcb-info", "tdx-qe-identity"}),
    "azure-snp": (("azure-snp/hcl-report.bin", "azure-snp/tpm-quote-v1.json", "azure-snp/vcek.pem"), {"snp-crl"}),
    "azure-tdx": (
        ("azure-tdx/hcl-report.bin", "azure-tdx/tpm-quote-v1.json", "azure-tdx/td-quote.bin"),
        {"tdx-tcb-info", "tdx-qe-identity"},
    ),
}
"""Evidence of real machines, and checks that fail under its own policy, which is strict."""


@pytest.mark.skipif(not VECTORS.is_dir(), reason="evidence of real machines is not beside this checkout")
def test_evidence_of_another_day_makes_a_policy_as_of_that_day(cloister, tmp_path: Path) -> None:
    paths = [VECTORS / "snp" / name for name in ("coco-vlek-report.bin", "coco-vlek.der", "ask_ark_milan_vlek.pem")]
    words = ("policy", "--from-evidence", *paths, "--output", tmp_path / "mine.json", "--yes")
    today = cloister(*words)
    assert (today.code, "valid from 2024-12-10" in today.err) == (3, True)
    then = cloister(*words, "--at", "2025-06-01")
    assert then.code == 0, then.err
    section = json.loads((tmp_path / "mine.json").read_text())["snp"]
    assert (section["allow_vlek"], section["vmpl"]) == (True, 0)
    assert "The privilege level (VMPL) that requested the report: expected 0, found 1." in then.out


@pytest.mark.skipif(not VECTORS.is_dir(), reason="evidence of real machines is not beside this checkout")
@pytest.mark.parametrize("name", REAL)
def test_strangers_evidence_makes_a_policy_that_recognises_it(cloister, tmp_path: Path, name: str) -> None:
    files, strict = REAL[name]
    paths = [VECTORS / file for file in files]
    done = cloister("policy", "--from-evidence", *paths, "--output", tmp_path / "mine.json", "--yes")

    assert done.code == 0, done.err
    for said in ("confirm with", "Confirm each", f"Written: {tmp_path / 'mine.json'}", "mine.json FILE..."):
        assert said in done.out
    written = json.loads((tmp_path / "mine.json").read_text())
    assert written["kind"] == "evidence"
    assert "debug" not in json.dumps(written)
    assert written.get("snp", {}).get("allow_smt", False) is False
    judged = cloister("verify-evidence", *paths, "--policy", tmp_path / "mine.json", "--json")
    assert judged.code == 3
    checks = {check["name"]: check for check in json.loads(judged.out)["checks"]}
    failed = {name for name, check in checks.items() if check["outcome"] == "failed"}
    assert strict <= failed
    pinned = ("snp-launch-digest", "snp-host-data", "tdx-mrtd", "tdx-rtmr-1", "azure-id-key", "azure-mrtd", "pcr-4")
    assert not failed & set(pinned)
    assert any(checks[one]["outcome"] == "passed" for one in pinned if one in checks)
