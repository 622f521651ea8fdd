"""docs/attestation.md lists every check with its source and test, and names only what exists."""

import datetime
import importlib.util
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloister.attestation.azure.checks import AZURE_SNP_NAMES, AZURE_TDX_NAMES
from cloister.attestation.binding import SessionBinding
from cloister.attestation.checks import CHECKS, CHECKS_OF, COMMON
from cloister.attestation.collateral_source import CRL, InMemory
from cloister.attestation.errors import PolicyError
from cloister.attestation.gcp.checks import GCP_SNP_NAMES, GCP_TDX_IMAGE_NAMES, GCP_TDX_NAMES
from cloister.attestation.policy.evidence_policy import PINS, EvidencePolicy
from cloister.attestation.raw.checks import RAW_CHECKS
from cloister.attestation.raw.verifier import RawSnp, RawTdx, verify_raw
from cloister.attestation.snp.products import ProductLine
from cloister.attestation.testkit import Processor, SnpMachine, Td
from cloister.attestation.verifier import RecordingPurpose, SessionPurpose, verify
from cloister.protocol import canonical

AT = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "attestation.md").read_text()
TESTS = {"local": "platforms/test_local.py", "tdx": "platforms/test_tdx.py", "sev-snp": "platforms/test_sev_snp.py"}
"""The test file of each platform. The checks that all platforms share are in the table of ``local``."""

CLOUDS = {
    "azure-snp": ("platforms/test_azure.py", AZURE_SNP_NAMES),
    "azure-tdx": ("platforms/test_azure.py", AZURE_TDX_NAMES),
    "gcp-snp": ("platforms/test_gcp.py", GCP_SNP_NAMES),
    "gcp-tdx": ("platforms/test_gcp.py", (*GCP_TDX_NAMES, *GCP_TDX_IMAGE_NAMES)),
}
"""The same for cloud machines, with the checks that only they have. The others are in the tables of hardware and vTPM,
whose code they share."""


def _rows(platform: str) -> list[list[str]]:
    section = PAGE.split(f"## Checks of the platform {platform}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


@pytest.mark.parametrize("platform", TESTS)
def test_table_has_every_check_once_and_in_order(platform: str) -> None:
    own = [name for name in CHECKS_OF[platform] if platform == "local" or name not in COMMON]
    assert [row[0] for row in _rows(platform)] == own


@pytest.mark.parametrize("platform", TESTS)
def test_every_row_names_a_source_an_existing_file_and_an_existing_test(platform: str) -> None:
    assert set(_cases(TESTS[platform])) == set(CHECKS_OF[platform])
    for name, promise, source, code, test in _rows(platform):
        assert promise and source
        assert (ROOT / "cloister" / "attestation" / code.strip("`")).is_file()
        assert test == f"`test_one_fault_fails_only_its_check[{name}]`"


@pytest.mark.parametrize("platform", CLOUDS)
def test_cloud_tables_have_their_own_checks(platform: str) -> None:
    file, own = CLOUDS[platform]
    rows = _rows(platform)
    assert [row[0] for row in rows] == list(own)
    assert set(own) <= set(_cases(file)[platform]) <= set(CHECKS_OF[platform])
    for name, promise, source, code, test in rows:
        assert promise and source
        assert (ROOT / "cloister" / "attestation" / code.strip("`")).is_file()
        assert test == f"`test_one_fault_fails_only_its_check[{platform}-{name}]`"


@pytest.mark.parametrize("platform", CHECKS_OF)
def test_every_check_of_a_verdict_has_a_row(platform: str) -> None:
    """In the platform's own table, or in that of the hardware or of ``local``."""
    hardware = ("tdx" if platform.endswith("tdx") else "sev-snp",) if platform != "local" else ()
    rows = {row[0] for table in ("local", *hardware, platform) for row in _rows(table)}
    assert set(CHECKS_OF[platform]) <= rows


def test_every_check_belongs_to_a_platform() -> None:
    assert {name for names in CHECKS_OF.values() for name in names} == set(CHECKS)


def _cases(file: str) -> Any:
    """The cases of a test module."""
    path = Path(__file__).parent / file
    spec = importlib.util.spec_from_file_location(f"checks_in_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert callable(module.test_one_fault_fails_only_its_check)
    return module.CASES


def test_every_file_that_the_page_names_exists() -> None:
    folders = [ROOT, ROOT / "cloister" / "attestation", ROOT / "tests" / "attestation"]
    for name in re.findall(r"`([a-z_/]+\.(?:py|json))`", PAGE):
        assert any((folder / name).is_file() for folder in folders), name


LOADED = """
import sys
import cloister.attestation.raw.verifier, cloister.attestation.verifier
found = {name.split(".")[0] for name in sys.modules} - sys.stdlib_module_names
print(*sorted(name for name in found if not name.startswith("_")))
"""


def test_verifier_imports_only_the_packages_on_the_page() -> None:
    # In another process, because pytest has imported modules into this one.
    done = subprocess.run([sys.executable, "-c", LOADED], cwd=ROOT, capture_output=True, text=True, check=True)
    packages = {"google": "protobuf"}
    # cryptography imports the first where another package has installed it; Debian's Python has the second.
    optional = {"bcrypt", "sitecustomize"}
    loaded = {packages.get(name, name) for name in done.stdout.split()} - optional
    assert loaded == {"cloister", "cryptography", "fastjsonschema", "protobuf", "rfc8785"}
    introduction = PAGE.split("```python")[0]
    assert all(f"`{name}`" in introduction for name in loaded - {"cloister"})


@pytest.fixture(scope="module")
def example() -> EvidencePolicy:
    """The policy for bare reports and quotes."""
    section = PAGE.split("## Recorded evidence\n")[1].split("\n## ")[0]
    (text,) = re.findall(r"^```yaml\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    return EvidencePolicy.parse(text.encode())


def test_page_has_every_pin_with_its_check() -> None:
    section = PAGE.split("### A policy for raw evidence\n")[1].split("\n## ")[0]
    for pin in PINS:
        member, check = (
            re.sub(r"(rtmrs|pcrs)\.\d+$", r"\1", pin.member),
            re.sub(r"(rtmr|pcr)-\d+$", r"\1-0", pin.check),
        )
        named = member if not member.startswith("azure.") else member.rpartition(".")[0]
        assert any(f"`{named}`" in line and check in line for line in section.splitlines()), pin
        assert pin.check in RAW_CHECKS


def test_example_policy_appraises_a_bare_report_and_accepts_no_machine(example: EvidencePolicy) -> None:
    machine = SnpMachine.create_at(AT)
    roots = (machine.processor.amd.anchor(),)
    raw = RawSnp(machine.processor.report(), machine.processor.table())
    collateral = InMemory({CRL: machine.crls})
    found = verify_raw(raw, example, report_data=None, at=AT, collateral=collateral, roots=roots)

    assert [check.name for check in found.failures] == []
    evidence = machine.evidence(SessionBinding(b"n" * 32, b"t" * 32, b"h" * 32))
    with pytest.raises(PolicyError, match="accepts no machine"):
        verify(evidence, example, purpose=RecordingPurpose(), at=AT, roots=roots)  # ty: ignore[invalid-argument-type]


def test_example_policy_appraises_a_bare_quote(example: EvidencePolicy) -> None:
    td = Td.create(AT)
    roots, collateral = (td.intel.anchor(),), td.intel.collateral()
    raw = RawTdx(td.intel.quote(td.report(bytes(64))))
    found = verify_raw(raw, example, report_data=None, at=AT, collateral=collateral, roots=roots)

    assert [check.name for check in found.failures] == []


def test_example_of_the_test_kit_is_correct() -> None:
    section = PAGE.split("## Trying a policy\n")[1].split("\n## ")[0]
    (code,) = re.findall(r"^```python\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    assert code.count("assert ") == 2
    names = (datetime.datetime, Processor, ProductLine, SessionBinding, SessionPurpose, SnpMachine, replace, verify)
    exec(code, {name.__name__: name for name in names} | {"UTC": datetime.UTC})


def test_times_on_the_page_are_valid_options() -> None:
    shown = re.findall(r"`--at ([^`]+)`", PAGE)

    assert shown
    for text in shown:
        canonical.from_time(text, what="--at")
