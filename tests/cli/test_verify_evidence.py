"""Exit codes and messages of `verify-evidence`, and `policy --from-evidence`."""

import datetime
import hashlib
import json
import os
from pathlib import Path

import pytest

from cloister.attestation.binding import SessionBinding
from cloister.attestation.testkit import LocalMachine, SnpMachine, SoftwareTpm, evidence_policy
from cloister.attestation.testkit.event_log import encode_event_log
from cloister.attestation.testkit.machine import BOOT_EVENTS
from cloister.attestation.tpm.structures import sized
from cloister.protocol.imagemanifest import ImageManifest
from tests.shared_files import VECTORS

NOW = datetime.datetime.now(datetime.UTC)
BINDING = SessionBinding(b"n" * 32, b"t" * 32, b"h" * 32)
MIB = 1024 * 1024


def manifest_of(machine: LocalMachine | SnpMachine) -> bytes:
    """A manifest of the image that the machine runs."""
    pcrs = {index: value.hex() for index, value in machine.image().pcrs.items()} | {12: "00" * 32, 13: "00" * 32}
    return ImageManifest(flavor="base", debug=False, inputs={}, outputs={}, pcrs=pcrs).encode()


@pytest.fixture
def local(tmp_path: Path) -> LocalMachine:
    """A machine whose bundle and policy are in files."""
    machine = LocalMachine.create(NOW - datetime.timedelta(hours=1))
    (tmp_path / "bundle").write_bytes(machine.evidence(BINDING).encode_json())
    (tmp_path / "policy.json").write_bytes(machine.policy().encode())
    return machine


def test_genuine_bundle_exits_with_0(cloister, tmp_path: Path, local: LocalMachine) -> None:
    done = cloister("verify-evidence", tmp_path / "bundle", "--policy", tmp_path / "policy.json")

    assert (done.code, done.err) == (0, "")
    assert "appraised as a recording" in done.out
    assert "GENUINE" in done.out.splitlines()[-1]
    assert "ACCEPTED" not in done.out
    written = cloister("verify-evidence", tmp_path / "bundle", "--policy", tmp_path / "policy.json", "--json")
    found = json.loads(written.out)
    assert (written.code, found["genuine"], found["recording"], "accepted" in found) == (0, True, True, False)


def test_rejected_bundle_exits_with_3(cloister, tmp_path: Path, local: LocalMachine) -> None:
    words = ("verify-evidence", tmp_path / "bundle", "--policy", tmp_path / "policy.json")
    done = cloister(*words, "--report-data", "00" * 64)

    assert done.code == 3
    assert "FAILED  purpose" in done.out
    assert done.out.splitlines()[-1].endswith(": purpose failed")
    assert "rejects it: purpose failed." in done.err
    later = cloister(*words, "--at", "2060-01-01T00:00:00Z", "--json")
    assert later.code == 3
    found = json.loads(later.out)
    assert [check["name"] for check in found["checks"] if check["outcome"] == "failed"] == ["ak-validity"]
    assert (found["genuine"], found["recording"], "accepted" in found) == (False, True, False)


def test_report_and_its_files_are_one_piece(cloister, tmp_path: Path) -> None:
    machine = SnpMachine.create_at(NOW)
    (tmp_path / "policy.json").write_bytes(evidence_policy(machine.policy()).encode())
    (tmp_path / "report").write_bytes(machine.processor.report())
    (tmp_path / "table").write_bytes(machine.processor.table())
    (tmp_path / "list").write_bytes(machine.crls[0])
    done = cloister(
        "verify-evidence",
        tmp_path / "report",
        tmp_path / "table",
        "--policy",
        tmp_path / "policy.json",
        tmp_path / "list",
        "--json",
    )
    found = json.loads(done.out)

    # AMD has not signed any of it, and the command line has no option for another root.
    assert done.code == 3
    assert (found["raw"], found["genuine"], found["identity_root"]) == (True, False, "none")
    assert [check["name"] for check in found["checks"] if check["outcome"] == "failed"] == ["snp-chain"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("nothing",), "is not evidence of a supported kind"),
        (("absent",), "cannot be read"),
        (("bundle", "bundle"), "a second evidence"),
        (("bundle", "--at", "yesterday"), "--at is not a day or a time"),
        (("bundle", "--report-data", "xyz"), "--report-data must be bytes in hexadecimal"),
        (("bundle", "--report-data", ""), "--report-data is empty"),
        (("bundle", "--report-data", "00" * 32), "has 32 bytes; this kind of evidence has 64."),
        (("bundle", "--report-data", "00" * 65), "has 65 bytes; this kind of evidence has 64."),
        (("bundle", "--at", "2026-01-31T12:00:00"), "--at has no time zone"),
        (("bundle", "--format", "xml"), "--format is 'xml'; it must be one of text, json, ear."),
        (("bundle", "--format", "ear"), "No key is set"),
        (("bundle", "--format", "ear", "--json"), "--json and --format ear exclude each other"),
        (("bundle", "--collateral", "absent"), "cannot be read"),
        (("bundle", "--collateral", "mixed"), "is not collateral"),
    ],
    ids=str,
)
def test_invalid_input_exits_with_2(
    cloister, tmp_path: Path, local: LocalMachine, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nothing").write_bytes(b"nothing")
    (tmp_path / "mixed").mkdir()
    (tmp_path / "mixed" / "notes.txt").write_bytes(b"notes")
    done = cloister("verify-evidence", *words, "--policy", "policy.json")

    assert done.code == 2
    assert says in done.err


def test_file_of_another_kind_is_refused_before_a_policy_is_asked_for(cloister, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(99))
    done = cloister("verify-evidence", tmp_path / "photo.jpg")

    assert done.code == 2
    assert "looks like a picture" in done.err and "No policy is set" not in done.err


def test_nothing_is_judged_without_a_policy(cloister, tmp_path: Path, local: LocalMachine) -> None:
    done = cloister("verify-evidence", tmp_path / "bundle")

    assert done.code == 2
    assert "No policy is set" in done.err


@pytest.mark.skipif(not VECTORS.is_dir(), reason="evidence of real machines is not beside this checkout")
def test_report_of_a_real_machine_is_genuine(cloister, tmp_path: Path) -> None:
    machine = SnpMachine.create_at(NOW)
    least = {"boot_loader": 3, "tee": 0, "snp": 8, "microcode": 115}
    policy = evidence_policy(machine.policy()).value()
    policy["snp"] |= {"minimum_tcb": {"Milan": {"reported": least}}, "require_crl": False, "allow_smt": True}
    (tmp_path / "policy.json").write_text(json.dumps(policy))
    folder = VECTORS / "snp"
    words = (folder / "coco-report.bin", folder / "coco-vcek.der", folder / "ask_ark_milan.pem")
    at = ("--at", "2025-06-01T00:00:00Z")
    done = cloister("verify-evidence", *words, "--policy", tmp_path / "policy.json", *at)

    assert done.code == 0, done.err
    assert "GENUINE, but this accepts no machine" in done.out
    bad = cloister(
        "verify-evidence",
        words[0],
        folder / "coco-vcek-invalid-new.der",
        words[2],
        "--policy",
        tmp_path / "policy.json",
        *at,
    )
    assert bad.code == 3


def test_evidence_of_a_local_machine_makes_no_policy(cloister, tmp_path: Path, local: LocalMachine) -> None:
    (tmp_path / "manifest.json").write_bytes(manifest_of(local))
    words = ("policy", "--image", tmp_path / "manifest.json", "--from-evidence", tmp_path / "bundle", "--yes")
    done = cloister(*words, "--output", tmp_path / "mine.json")

    assert done.code == 2
    assert "--workspace" in done.err
    assert not (tmp_path / "mine.json").exists()
    both = cloister(*words, "--allow-local", "--output", tmp_path / "mine.json")
    assert both.code == 2
    assert "cannot be combined with" in both.err


def test_evidence_without_a_vendors_signature_makes_no_policy(cloister, tmp_path: Path) -> None:
    machine = SnpMachine.create_at(NOW)
    (tmp_path / "manifest.json").write_bytes(manifest_of(machine))
    (tmp_path / "bundle").write_bytes(machine.evidence(BINDING).encode())
    done = cloister(
        "policy",
        *("--image", tmp_path / "manifest.json"),
        *("--from-evidence", tmp_path / "bundle"),
        *("--output", tmp_path / "mine.json", "--yes"),
    )

    assert done.code == 3
    assert "not genuine" in done.err
    assert not (tmp_path / "mine.json").exists()


def test_collateral_folder_can_be_set_in_the_environment(
    cloister, tmp_path: Path, local: LocalMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOISTER_COLLATERAL", str(tmp_path / "absent"))
    done = cloister("verify-evidence", tmp_path / "bundle", "--policy", tmp_path / "policy.json")

    assert done.code == 2
    assert "absent cannot be read" in done.err


def test_invalid_fetch_setting_is_an_error(
    cloister, tmp_path: Path, local: LocalMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOISTER_FETCH", "perhaps")
    done = cloister("verify-evidence", tmp_path / "bundle", "--policy", tmp_path / "policy.json")

    assert done.code == 2
    assert "CLOISTER_FETCH must be 1 or 0, not 'perhaps'" in done.err


def test_empty_time_is_rejected(cloister, tmp_path: Path, local: LocalMachine) -> None:
    done = cloister("verify-evidence", tmp_path / "bundle", "--policy", tmp_path / "policy.json", "--at", "")

    assert done.code == 2
    assert "--at is not a day or a time" in done.err


def test_bare_report_makes_no_policy(cloister, tmp_path: Path) -> None:
    machine = SnpMachine.create_at(NOW)
    (tmp_path / "report").write_bytes(machine.processor.report())
    (tmp_path / "manifest.json").write_bytes(manifest_of(machine))
    done = cloister("policy", "--from-evidence", tmp_path / "report", "--image", tmp_path / "manifest.json")

    assert done.code == 2
    assert "attest --save" in done.err


@pytest.mark.parametrize("option", ["--policy", "--image", "--workspace", "--evidence", "--manifest", "manifest"])
def test_large_file_is_not_read_completely(cloister, tmp_path: Path, local: LocalMachine, option: str) -> None:
    (tmp_path / "manifest.json").write_bytes(manifest_of(local))
    large = tmp_path / "large"
    large.touch()
    os.truncate(large, 1 << 40)  # more than a machine's memory, and no block of a disk
    words = {
        "--policy": ("verify-evidence", tmp_path / "bundle", "--policy", large),
        "--image": ("policy", "--from-evidence", tmp_path / "bundle", "--image", large),
        "--workspace": ("policy", "--image", tmp_path / "manifest.json", "--workspace", large),
        "--evidence": ("audit", tmp_path / "log", "--evidence", large),
        "--manifest": ("attest", "--policy", tmp_path / "policy.json", "--manifest", large),
        "manifest": ("manifest", large),
    }
    done = cloister(*words[option])

    assert done.code == 2
    assert f"has more than {2 * MIB if option == '--evidence' else MIB} bytes." in done.err


def raw_policy(tmp_path: Path) -> Path:
    """A policy for quotes of TPMs alone."""
    path = tmp_path / "tpm.json"
    path.write_text(json.dumps({"version": 1, "kind": "evidence", "platforms": ["tpm"]}))
    return path


def test_log_alone_is_printed_and_exits_with_3(cloister, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(encode_event_log(BOOT_EVENTS).ljust(4096, b"\xff"))
    done = cloister("verify-evidence", tmp_path / "log", "--policy", raw_policy(tmp_path))

    assert done.code == 3
    assert "PCR 4  EV_EFI_BOOT_SERVICES_APPLICATION" in done.out
    assert "no one signs a log" in done.out
    assert done.out.splitlines()[-1].endswith(": boot-event-log failed")
    asked = cloister("verify-evidence", tmp_path / "log", "--policy", raw_policy(tmp_path), "--report-data", "00" * 64)
    assert asked.code == 2 and "Omit --report-data" in asked.err


def test_quote_under_a_named_key_is_signed_and_not_genuine(cloister, tmp_path: Path) -> None:
    tpm = SoftwareTpm.create()
    pcrs = [bytes([index]) * 32 for index in range(16)]
    attest = tpm.attest(pcrs, b"nonce").marshal()
    files = {"m": attest, "s": tpm.sign(attest), "o": b"".join(pcrs), "u": sized(tpm.public().marshal())}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    words = ("verify-evidence", *(tmp_path / name for name in files), "--policy", raw_policy(tmp_path))
    done = cloister(*words, "--report-data", b"nonce".hex())

    assert (done.code, done.err) == (0, "")
    assert "SIGNED by the key that you named, which shows no machine" in done.out.splitlines()[-1]
    assert "identity vouched for by no one" in done.out
    found = json.loads(cloister(*words, "--json").out)
    assert (found["genuine"], found["identity_root"], found["platform"]) == (False, "none", "tpm")
    assert found["judged"][0] == {
        "what": "tpm-quote",
        "sha256": hashlib.sha256(attest).hexdigest(),
        "size": len(attest),
    }
    assert cloister(*words, "--report-data", "00").code == 3


def test_file_with_a_block_of_pem_inside_is_refused(cloister, tmp_path: Path) -> None:
    (tmp_path / "note").write_bytes(b"-----BEGIN\nsee -----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    done = cloister("verify-evidence", tmp_path / "note", "--policy", raw_policy(tmp_path))

    assert done.code == 2
    assert "note looks like" in done.err and "PEM" in done.err
