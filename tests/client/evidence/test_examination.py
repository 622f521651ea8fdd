"""Evidence files are recognised by content, judged together, and never accept a machine."""

import dataclasses
import datetime
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cloister.attestation.binding import SessionBinding
from cloister.attestation.collateral_source import InMemory
from cloister.attestation.policy.either import AnyPolicy
from cloister.attestation.raw.verifier import RawVerdict
from cloister.attestation.result.verdict import CheckOutcome, Verdict
from cloister.attestation.testkit import LocalMachine, SnpMachine, Td, evidence_policy
from cloister.attestation.testkit.microsoft import AzureSnpMachine, AzureTdxMachine
from cloister.attestation.x509.roots import VENDORS, Anchor
from cloister.client.collateral.evidence_requests import Services
from cloister.client.collateral.folder import load_collateral
from cloister.client.collateral.network import VendorServices
from cloister.client.collateral.sources import CollateralSources
from cloister.client.evidence import examination, verdict
from cloister.client.evidence.examination import verify_evidence
from cloister.errors import InputError, ProofError
from cloister.protocol import schema
from cloister.protocol.canonical import FormatError
from tests.client.collateral.conftest import asking, server
from tests.client.collateral.services import Reply, Server

__all__ = ["asking", "server"]

AT = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
BINDING = SessionBinding(b"n" * 32, b"t" * 32, b"h" * 32)
CHALLENGE = bytes(range(64))


@pytest.fixture(scope="module")
def snp() -> SnpMachine:
    return SnpMachine.create_at(AT)


@pytest.fixture(scope="module")
def td() -> Td:
    return Td.create(AT)


@pytest.fixture(scope="module")
def azure() -> AzureSnpMachine:
    return AzureSnpMachine.create(AT)


@pytest.fixture(scope="module")
def azure_td() -> AzureTdxMachine:
    return AzureTdxMachine.create(AT)


@dataclasses.dataclass
class Files:
    """A folder; ``judge`` examines files that are written there."""

    folder: Path
    policy: AnyPolicy
    roots: tuple[Anchor, ...] = VENDORS

    def write(self, **contents: bytes) -> list[Path]:
        paths = [self.folder / name for name in contents]
        for path, content in zip(paths, contents.values(), strict=True):
            path.write_bytes(content)
        return paths

    def judge(self, contents: Mapping[str, bytes], **options: Any) -> Verdict | RawVerdict:
        return self.examine(contents, **options).verdict

    def examine(
        self,
        contents: Mapping[str, bytes],
        *,
        collateral: Path | None = None,
        network: VendorServices | None = None,
        services: Services | None = None,
        **options: Any,
    ) -> examination.Examination:
        held = load_collateral(collateral) if collateral else InMemory()
        sources = CollateralSources(held, network, services)
        return verify_evidence(
            self.write(**contents), self.policy, **{"at": AT, "roots": self.roots, "collateral": sources, **options}
        )


def failed(found: Verdict | RawVerdict) -> list[str]:
    return [check.name for check in found.failures]


@pytest.fixture
def snp_files(tmp_path: Path, snp: SnpMachine) -> Files:
    return Files(tmp_path, evidence_policy(snp.policy()), (snp.processor.amd.anchor(),))


@pytest.fixture
def report(snp: SnpMachine) -> dict[str, bytes]:
    """A report and everything that belongs to it, under meaningless names."""
    _, signer = snp.processor.amd.signers[snp.processor.kind]
    return {
        "a": snp.processor.report(report_data=CHALLENGE),
        "b": snp.processor.certificate,
        "c": signer,
        "d": snp.processor.amd.root,
        "e": snp.crls[0],
    }


def test_bundle_is_judged_as_a_recording(tmp_path: Path) -> None:
    machine = LocalMachine.create(AT)
    evidence = machine.evidence(BINDING)
    files = Files(tmp_path, machine.policy())
    for content in (evidence.encode(), evidence.encode_json()):
        found = files.judge({"bundle": content})
        assert isinstance(found, Verdict)
        assert found.accepted and found.recording
        value = found.value()
        schema.validate("verdict", value, what="It")
        assert value["genuine"] is True and "accepted" not in value
        for changes in (
            {"accepted": True},
            {"recording": None},
            {"genuine": None},
            {"genuine": None, "accepted": True},
        ):
            other = {name: one for name, one in (value | changes).items() if one is not None}
            with pytest.raises(FormatError):
                schema.validate("verdict", other, what="It")
        with pytest.raises(ProofError, match="opens no session"):
            found.require_accepted()
        text = "\n".join(verdict.verdict_lines(found))
        assert "appraised as a recording" in text and "GENUINE" in text and "ACCEPTED" not in text


def test_verdict_tells_of_a_scratch_disk(tmp_path: Path) -> None:
    machine = LocalMachine.create(AT)
    found = Files(tmp_path, machine.policy()).judge({"bundle": machine.evidence(BINDING).encode()})
    assert isinstance(found, Verdict)
    assert not any(line.startswith("Scratch") for line in verdict.verdict_summary(found))
    configuration = dataclasses.replace(found.claims.boot_configuration, scratch=200 << 30)
    with_disk = dataclasses.replace(found, claims=dataclasses.replace(found.claims, boot_configuration=configuration))
    (line,) = (line for line in verdict.verdict_summary(with_disk) if line.startswith("Scratch"))
    assert "200 GiB of the host's disk, encrypted" in line
    assert "not of what an algorithm writes there under limits.scratch" in line


def test_bundle_is_judged_with_its_report_data(tmp_path: Path) -> None:
    machine = LocalMachine.create(AT)
    evidence = machine.evidence(BINDING)
    files = Files(tmp_path, machine.policy())

    assert failed(files.judge({"bundle": evidence.encode()}, report_data=evidence.report_data())) == []
    assert failed(files.judge({"bundle": evidence.encode()}, report_data=bytes(64))) == ["purpose"]


def test_report_is_judged_with_its_certificates(snp_files: Files, report: dict[str, bytes]) -> None:
    found = snp_files.judge(report, report_data=CHALLENGE)

    assert isinstance(found, RawVerdict)
    assert (found.genuine, found.identity_root, found.platform) == (True, "simulated", "sev-snp")
    assert not hasattr(found, "accepted") and not hasattr(found, "claims")
    assert len(found.not_judged) == 4
    schema.validate("raw-verdict", found.value(), what="It")
    text = "\n".join(verdict.verdict_lines(found))
    assert "GENUINE, but this accepts no machine" in text
    assert all(sentence in text for sentence in found.not_judged)


@pytest.mark.parametrize(
    ("lacks", "checks"), [("b", {"snp-chain"}), ("c", {"snp-chain"}), ("d", {"snp-chain"}), ("e", {"snp-crl"})]
)
def test_missing_file_fails_the_check_that_needs_it(
    snp_files: Files, report: dict[str, bytes], lacks: str, checks: set[str]
) -> None:
    del report[lacks]

    assert set(failed(snp_files.judge(report))) == checks


def test_report_with_other_report_data_is_rejected(snp_files: Files, report: dict[str, bytes]) -> None:
    assert failed(snp_files.judge(report, report_data=bytes(64))) == ["snp-report-data"]
    open_ = {check.name: check.outcome for check in snp_files.judge(report).checks}
    assert open_["snp-report-data"] is CheckOutcome.NOT_APPLICABLE


def test_report_of_an_unaccepted_platform_is_rejected(tmp_path: Path, report: dict[str, bytes], td: Td) -> None:
    assert failed(Files(tmp_path, evidence_policy(td.policy()), (td.intel.anchor(),)).judge(report)) == ["platform"]


def test_simulated_roots_are_not_trusted_by_default(tmp_path: Path, snp: SnpMachine, report: dict[str, bytes]) -> None:
    found = Files(tmp_path, evidence_policy(snp.policy())).judge(report)

    assert not isinstance(found, Verdict) and not found.genuine and found.identity_root == "none"


def test_certificate_table_or_folder_replaces_single_files(
    snp_files: Files, snp: SnpMachine, report: dict[str, bytes], tmp_path: Path
) -> None:
    folder = tmp_path / "collateral"
    folder.mkdir()
    (folder / "list").write_bytes(report["e"])

    assert failed(snp_files.judge({"a": report["a"], "t": snp.processor.table()}, collateral=folder)) == []


def test_quote_is_judged_with_a_folder(tmp_path: Path, td: Td) -> None:
    folder = tmp_path / "collateral"
    folder.mkdir()
    for kind, contents in td.intel.collateral().contents.items():
        for number, content in enumerate(contents):
            (folder / f"{kind}-{number}").write_bytes(content)
    files = Files(tmp_path, evidence_policy(td.policy()), (td.intel.anchor(),))
    quote = {"q": td.intel.quote(td.report(CHALLENGE))}
    found = files.judge(quote, collateral=folder, report_data=CHALLENGE)

    assert failed(found) == []
    assert found.platform == "tdx"
    schema.validate("raw-verdict", found.value(), what="It")
    assert failed(files.judge(quote, collateral=folder, report_data=bytes(64))) == ["tdx-report-data"]
    later = AT + datetime.timedelta(days=60)
    assert "tdx-tcb-info-validity" in failed(files.judge(quote, collateral=folder, at=later))


def azure_parts(machine: AzureSnpMachine | AzureTdxMachine) -> dict[str, bytes]:
    evidence = machine.evidence(BINDING)
    quote = evidence.tpm_quote
    assert quote is not None and evidence.hcl_report is not None
    value = {
        "message": quote.attest.hex(),
        "signature": quote.signature.hex(),
        "pcrs": [pcr.hex() for pcr in quote.pcrs],
    }
    parts = {"hcl": evidence.hcl_report, "quote": json.dumps(value).encode()}
    if isinstance(machine, AzureTdxMachine):
        assert evidence.tdx_quote is not None
        collateral = machine.intel.collateral().contents
        items = {f"{kind}-{at}": content for kind, every in collateral.items() for at, content in enumerate(every)}
        return {**parts, "td": evidence.tdx_quote, **items}
    _, signer = machine.processor.amd.signers[machine.processor.kind]
    return {
        **parts,
        "vcek": machine.processor.certificate,
        "ask": signer,
        "ark": machine.processor.amd.root,
        "crl": machine.crls[0],
    }


def test_hcl_report_is_judged_with_its_quote(tmp_path: Path, azure: AzureSnpMachine) -> None:
    files = Files(tmp_path, evidence_policy(azure.policy()), azure.roots())
    parts = azure_parts(azure)
    qualifying = hashlib.sha256(azure.evidence(BINDING).report_data()).digest()
    found = files.judge(parts, report_data=qualifying)

    assert failed(found) == []
    for word in ("fresh", "registers", "vTPM's key"):
        assert any(word in sentence for sentence in found.not_judged)
    schema.validate("raw-verdict", found.value(), what="It")
    assert failed(files.judge(parts, report_data=b"challenge")) == ["quote-binding"]
    for slip in (b"", bytes(67)):
        with pytest.raises(InputError, match=f"has {len(slip)} bytes; this kind of evidence has 1 to 66"):
            files.judge(parts, report_data=slip)
    value = json.loads(parts["quote"])
    value["pcrs"][4] = bytes(32).hex()
    assert failed(files.judge({**parts, "quote": json.dumps(value).encode()})) == ["quote-pcr-digest"]


def test_hcl_report_of_tdx_is_judged_with_both_quotes(tmp_path: Path, azure_td: AzureTdxMachine) -> None:
    files = Files(tmp_path, evidence_policy(azure_td.policy()), azure_td.roots())
    parts = azure_parts(azure_td)
    found = files.judge(parts, report_data=hashlib.sha256(azure_td.evidence(BINDING).report_data()).digest())

    assert (failed(found), found.platform) == ([], "azure-tdx")
    schema.validate("raw-verdict", found.value(), what="It")
    other = AzureTdxMachine.create(AT)
    replaced = dataclasses.replace(other, intel=azure_td.intel).evidence(BINDING).tdx_quote
    assert replaced is not None
    assert failed(files.judge({**parts, "td": replaced})) == ["tdx-report-data"]


@pytest.mark.parametrize(
    "contents",
    [
        {"a": b""},
        {"a": b"nothing"},
        {"a": b"{}"},
        {"a": b"[1]"},
        {"a": b"{\xff"},
        {"a": bytes(1184)},
        {"a": b"HCLA" + bytes(2000)},
        {"a": b"\x04\0\x02\0\x81\0\0\0" + bytes(600)},
        {"a": b"\x08\x01\x12\x05local"},
        {"a": b"-----BEGIN PRIVATE KEY-----\n"},
        {"a": b"x" * (1 << 22)},
    ],
    ids=["empty", "text", "json", "list", "no-json", "zeros", "hcl", "quote", "message", "key", "large"],
)
def test_unsupported_file_is_an_input_error(snp_files: Files, contents: dict[str, bytes]) -> None:
    with pytest.raises(InputError) as caught:
        snp_files.judge(contents)
    assert caught.value.exit_code == 2


def test_files_of_several_pieces_are_an_input_error(
    snp_files: Files,
    snp: SnpMachine,
    td: Td,
    azure: AzureSnpMachine,
    azure_td: AzureTdxMachine,
    report: dict[str, bytes],
) -> None:
    bundle = snp.evidence(BINDING).encode()
    quote = td.intel.quote(td.report(CHALLENGE))
    hcl, of_tdx = azure_parts(azure), azure_parts(azure_td)
    for contents in (
        {"a": report["a"], "b": snp.processor.report()},
        {"a": report["a"], "b": bundle},
        {"a": report["a"], "b": quote},
        {"b": report["b"]},
        {"a": hcl["quote"]},
        {"a": hcl["hcl"], "b": hcl["quote"], "c": report["a"]},
        {"a": hcl["hcl"], "b": hcl["quote"], "c": quote},
        {"a": hcl["hcl"], "b": hcl["quote"], "c": snp.processor.table()},
        {"a": of_tdx["hcl"], "b": of_tdx["quote"]},
        {"a": quote, "b": snp.processor.table()},
    ):
        with pytest.raises(InputError) as caught:
            snp_files.judge(contents)
        assert caught.value.exit_code == 2


def test_only_missing_collateral_is_fetched(snp_files: Files, report: dict[str, bytes], server: Server, asking) -> None:
    asking.now = AT
    network: VendorServices = asking.network()
    server.reply("/vcek/v1/Milan/crl", Reply(report["e"]))
    del report["e"]
    found = snp_files.examine(report, network=network, services=Services(keys=server.address))

    assert found.passed
    assert server.asked == ["/vcek/v1/Milan/crl"]
    assert found.problems == ()
    assert [(one.kind, one.source) for one in found.verdict.used] == [
        ("certificate", "file"),
        ("certificate", "file"),
        ("certificate", "file"),
        ("crl", "network"),
    ]
    assert found.verdict.used[-1].place.startswith(f"{server.address}/vcek/v1/Milan/crl, fetched 2026-03-01T")


def test_quote_needs_the_collateral_of_its_platform(tmp_path: Path, td: Td, server: Server, asking) -> None:
    asking.now = AT
    files = Files(tmp_path, evidence_policy(td.policy()), (td.intel.anchor(),))
    services = Services(certification=server.address, root_crl=f"{server.address}/root.crl")
    found = files.examine({"q": td.intel.quote(td.report(CHALLENGE))}, network=asking.network(), services=services)

    assert not found.passed and len(found.problems) == 4
    fmspc = td.intel.platform.fmspc.hex()
    assert server.asked == [
        f"/tdx/certification/v4/tcb?fmspc={fmspc}",
        "/tdx/certification/v4/qe/identity",
        "/sgx/certification/v4/pckcrl?ca=platform&encoding=der",
        "/root.crl",
    ]


def test_chip_certificate_is_requested_by_chip_and_tcb(
    snp_files: Files, snp: SnpMachine, report: dict[str, bytes], server: Server, asking
) -> None:
    asking.now = AT
    chip = snp.processor.chip_id.hex()
    levels = snp.processor.tcb.components()
    query = "&".join(
        f"{name}={levels[part]:02}"
        for name, part in (("blSPL", "boot_loader"), ("teeSPL", "tee"), ("snpSPL", "snp"), ("ucodeSPL", "microcode"))
    )
    server.reply(f"/vcek/v1/Milan/{chip}?{query}", Reply(report.pop("b")))
    found = snp_files.examine(report, network=asking.network(), services=Services(keys=server.address))

    assert found.passed
    assert server.asked[0] == f"/vcek/v1/Milan/{chip}?{query}"


def test_certificate_of_another_chip_is_rejected_and_not_cached(
    snp_files: Files, snp: SnpMachine, report: dict[str, bytes], server: Server, asking
) -> None:
    asking.now = AT
    processor = snp.processor
    good = report.pop("b")
    other = processor.amd.certify(processor.key.public_key(), processor.tcb, kind=processor.kind, hwid=b"\x01" * 64)
    services = Services(keys=server.address)
    snp_files.examine(report, network=asking.network(), services=services)
    address = server.asked[0]
    server.reply(address, Reply(other), Reply(good))
    refused = snp_files.examine(report, network=asking.network(), services=services)
    accepted = snp_files.examine(report, network=asking.network(), services=services)

    assert any("another chip" in problem for problem in refused.problems)
    assert (refused.passed, accepted.passed) == (False, True)


def test_evidence_with_everything_needs_no_network(snp_files: Files, report: dict[str, bytes]) -> None:
    assert snp_files.examine(report, network=None).passed


def test_time_without_a_zone_is_rejected(snp: SnpMachine, snp_files: Files, report: dict[str, bytes]) -> None:
    with pytest.raises(InputError, match="no time zone"):
        snp_files.judge(report, at=AT.replace(tzinfo=None))


def test_missing_list_is_named_with_its_address_and_the_member_that_does_without(
    snp_files: Files, report: dict[str, bytes]
) -> None:
    del report["e"]
    found = snp_files.examine(report)

    assert failed(found.verdict) == ["snp-crl"]
    with pytest.raises(ProofError) as caught:
        found.require_passed()
    *_, said, how, address = (caught.value.hint or "").splitlines()
    assert "`collateral fetch FILE... --collateral DIR` on a machine with internet" in how
    assert said.startswith("snp-crl: Get AMD's current revocation list of the product line: pass --fetch")
    assert said.endswith("To do without it, change snp.require_crl in your policy.")
    assert address == "  the revocation list of Milan's root: https://kdsintf.amd.com/vcek/v1/Milan/crl"


def test_report_of_version_2_without_its_certificate_is_of_an_unknown_product(
    snp_files: Files, snp: SnpMachine, report: dict[str, bytes]
) -> None:
    found = snp_files.examine({"a": snp.processor.report(version=2, family=0, model=0), "e": report["e"]})

    failures = {check.name: check for check in found.verdict.failures}
    assert failures["snp-product"].found == "product unknown without a certificate"
    assert found.advice[0].startswith("snp-product, snp-chain: Get the certificate of the key that signed the report")


def test_wrong_platform_comes_alone(snp_files: Files, td: Td) -> None:
    found = snp_files.examine({"q": td.intel.quote(td.report(CHALLENGE))})

    (said,) = found.advice
    assert said.startswith("platform: Use a machine of a platform that your policy accepts")
    assert found.missing == ()


@pytest.mark.parametrize(
    ("fields", "name", "says"),
    [
        ({"platform_info": 1}, "snp-platform-info", "To accept it, change snp.allow_smt in your policy."),
        ({"policy": 1 << 16 | 1 << 17}, "snp-guest-policy", "To accept it, change snp.allow_smt in your policy."),
        ({"policy": 1 << 17 | 1 << 19}, "snp-debug", "Compare the settings of the launch with the platform team."),
    ],
)
def test_choice_ends_with_its_member_and_debug_with_a_comparison(
    snp_files: Files, snp: SnpMachine, report: dict[str, bytes], fields: dict[str, int], name: str, says: str
) -> None:
    found = snp_files.examine({**report, "a": snp.processor.report(**fields)})

    assert failed(found.verdict) == [name]
    assert found.advice[-1].endswith(says)


def test_names_that_someone_chose_stay_within_their_line(snp_files: Files, report: dict[str, bytes]) -> None:
    found = snp_files.examine(report)
    assert isinstance(found.verdict, RawVerdict)
    name = "x\x1b[2J\u202e\nVerdict   GENUINE"
    check, *others = found.verdict.checks
    passed, *_ = (one for one in others if one.outcome is CheckOutcome.PASSED)
    checks = [
        dataclasses.replace(passed, name=f"a-{outcome}", outcome=outcome, expected=name, found=name, reason=name)
        for outcome in CheckOutcome
    ]
    hostile = dataclasses.replace(
        found.verdict, checks=(check, *others, *checks), identity={name: name}, events=(name,), not_judged=(name,)
    )
    lines = list(verdict.verdict_lines(hostile))
    assert all(line.isprintable() for line in lines)
    assert [line.startswith("Verdict") for line in lines].count(True) == 1 and lines[-1].startswith(
        "Verdict   REJECTED"
    )


def test_key_for_which_no_one_vouches_is_not_said_to_be_genuine(snp_files: Files, report: dict[str, bytes]) -> None:
    found = snp_files.examine(report)
    assert isinstance(found.verdict, RawVerdict) and "genuine" in repr(found)
    unknown = dataclasses.replace(found, verdict=dataclasses.replace(found.verdict, identity_root="none"))
    assert unknown.passed and "genuine" not in repr(unknown).lower()
