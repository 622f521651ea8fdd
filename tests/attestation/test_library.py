"""The verifier as a library: the examples of the API page, run without disk and network."""

import functools
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cloister import attestation
from cloister.attestation import Evidence, Platform
from cloister.attestation.binding import SessionBinding
from cloister.attestation.collateral_source import CERTIFICATE, CRL, QE_IDENTITY, TCB_INFO, InMemory
from cloister.attestation.testkit import (
    AzureSnpMachine,
    AzureTdxMachine,
    Intel,
    LocalMachine,
    SnpMachine,
    Td,
    evidence_policy,
)
from cloister.attestation.tpm.structures import QUOTED_PCRS
from cloister.protocol import transcript

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "api" / "attestation.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^([^\n]+):\n\n((?:    [^\n]*\n)+)", PAGE.split("\n## ")[0], re.MULTILINE)
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
BINDING = SessionBinding(b"n" * 32, b"t" * 32, b"h" * 32)


def snp() -> dict[str, Any]:
    machine = SnpMachine.create_at(AT)
    processor = machine.processor
    return {
        "report": processor.report(report_data=bytes(64)),
        "table": processor.table(),
        "crl": processor.amd.crl(),
        "policy": evidence_policy(machine.policy()),
        "expected": bytes(64),
        "roots": (processor.amd.anchor(),),
    }


def of_intel(intel: Intel) -> dict[str, Any]:
    known = intel.collateral().contents
    return {
        "tcb_info": known[TCB_INFO][0],
        "qe_identity": known[QE_IDENTITY][0],
        "crls": known[CRL],
        "certificates": known[CERTIFICATE],
        "roots": (intel.anchor(),),
    }


def tdx() -> dict[str, Any]:
    td = Td.create(AT)
    quote = td.intel.quote(td.report(bytes(64)))
    return {**of_intel(td.intel), "quote": quote, "policy": evidence_policy(td.policy()), "expected": bytes(64)}


def quoted(evidence: Evidence) -> dict[str, Any]:
    quote = evidence.tpm_quote
    assert quote is not None
    return {
        "hcl_report": evidence.hcl_report,
        "attest": quote.attest,
        "signature": quote.signature,
        "pcrs": dict(zip(QUOTED_PCRS, quote.pcrs, strict=True)),
        "expected": transcript.tpm_qualifying_data(evidence.report_data()),
    }


def azure_snp() -> dict[str, Any]:
    machine = AzureSnpMachine.create(AT)
    processor = machine.processor
    _, signer = processor.amd.signers[processor.kind]
    return {
        **quoted(machine.evidence(BINDING)),
        "certificates": (processor.certificate, signer, processor.amd.root),
        "crl": processor.amd.crl(),
        "policy": evidence_policy(machine.policy()),
        "roots": machine.roots(),
    }


def azure_tdx() -> dict[str, Any]:
    machine = AzureTdxMachine.create(AT)
    evidence = machine.evidence(BINDING)
    return {
        **of_intel(machine.intel),
        **quoted(evidence),
        "tdx_quote": evidence.tdx_quote,
        "policy": evidence_policy(machine.policy()),
    }


def whole() -> dict[str, Any]:
    machine = LocalMachine.create(AT)
    evidence = machine.evidence(BINDING)
    return {
        "message": evidence.encode(),
        "expected": evidence.report_data(),
        "policy": machine.policy(),
        "known": InMemory(),
        "roots": (),
    }


GIVEN: Mapping[str, Callable[[], dict[str, Any]]] = {
    "sev-snp": snp,
    "tdx": tdx,
    "azure-snp": azure_snp,
    "azure-tdx": azure_tdx,
    "local": whole,
}


def run() -> None:
    """Every example on evidence of the test kit; what it imports and opens from here on is an error."""
    names = {name: getattr(attestation, name) for name in attestation.__all__}
    runs = []
    for title, code in EXAMPLES:
        given = next(make for platform, make in GIVEN.items() if f"`{platform}`" in title)()
        # The example trusts the vendors' roots; the test kit's evidence has others.
        roots = given.pop("roots")
        given |= {name: functools.partial(names[name], roots=roots) for name in ("verify", "verify_raw")}
        runs.append(
            (compile(re.sub(r"^    ", "", code, flags=re.MULTILINE), title, "exec"), {**names, **given, "now": AT})
        )

    def forbid(event: str, arguments: object) -> None:
        if event in ("open", "import") or event.split(".")[0] in ("os", "shutil", "socket", "subprocess", "tempfile"):
            raise RuntimeError(f"{event} {arguments}")

    sys.addaudithook(forbid)  # for good: therefore in a process of its own
    for code, scope in runs:
        exec(code, scope)
        assert not scope["verdict"].failures, scope["verdict"].failures


def test_page_has_an_example_of_three_lines_for_each_platform() -> None:
    told = " ".join(title for title, _ in EXAMPLES)
    assert all(f"`{platform.value}`" in told for platform in Platform)
    assert all(len(code.strip().splitlines()) == 3 for _, code in EXAMPLES)


def test_examples_run_without_disk_and_network() -> None:
    program = "from tests.attestation import test_library; test_library.run()"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_audit_hook_would_notice_a_file_and_a_socket() -> None:
    for line in ("open('/dev/null')", "import socket; socket.socket()", "import colorsys"):
        program = f"from tests.attestation import test_library as t; t.EXAMPLES.clear(); t.run(); {line}"
        done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "RuntimeError" in done.stderr
