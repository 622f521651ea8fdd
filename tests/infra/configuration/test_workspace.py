"""The configuration of a workspace: each file in ``configurations`` holds one and every sentence that it earns."""

import json
import runpy
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pulumi.runtime import mocks

from cloister.errors import InputError
from infra.configuration import public_key, workspace
from infra.configuration.cloud import AzureConfiguration, BudgetConfiguration, GcpConfiguration
from infra.configuration.members import MemberConfiguration
from infra.configuration.validation import ConfigurationError
from infra.configuration.workspace import CvmConfiguration, WorkspaceConfiguration

FOLDER = Path(__file__).parents[1] / "configurations"
CASES = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yaml"))}
WRONG = [name for name, case in CASES.items() if case["problems"]]


def value(name: str) -> Any:
    """The configuration of a case: its own, or another's with changes; null takes something away."""
    case = CASES[name]
    return case["value"] if "value" in case else changed(value(case["base"]), case["change"])


def changed(value: Any, change: Any) -> Any:
    if not isinstance(value, dict) or not isinstance(change, dict):
        return change
    merged = value | {key: changed(value.get(key), inner) for key, inner in change.items()}
    return {key: inner for key, inner in merged.items() if inner is not None}


@pytest.mark.parametrize("name", CASES)
def test_all_errors_are_reported_together(name: str):
    try:
        workspace.parse(CASES[name].get("name", "lab"), value(name))
        found = []
    except ConfigurationError as error:
        found = list(error.problems)
    assert found == CASES[name]["problems"]


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("2026-12-01", "YAML reads 2026-12-01 as a date; write it in quotes: '2026-12-01'."),
        ("2026-12-02", "must be the first day of a month, such as '2026-12-01', in quotes, not '2026-12-02'."),
    ],
)
def test_unquoted_date_is_rejected(written: str, says: str):
    """As a program sees the file; the engine hands on another form of it."""
    budget = value("complete-azure")["budget"] | yaml.safe_load(f"start: {written}")
    with pytest.raises(ConfigurationError) as caught:
        workspace.parse("lab", value("complete-azure") | {"budget": budget})
    assert caught.value.problems == (f"workspace.budget.start: {says}",)


UNOWNED = ("missing-keys", "no-owner", "empty-values")
"""Configurations for which the message says how to add members."""


@pytest.mark.parametrize("name", WRONG)
def test_invalid_configuration_declares_nothing(name: str, caplog: pytest.LogCaptureFixture):
    """The program itself, in front of an engine that only listens."""
    engine = mocks.MockMonitor(Nothing())
    mocks.set_mocks(Nothing(), project="cloister", stack=CASES[name].get("name", "lab"), monitor=engine)
    pulumi.runtime.set_all_config({"cloister:workspace": json.dumps(value(name))})
    with pytest.raises(SystemExit), caplog.at_level("ERROR"):
        runpy.run_module("infra.__main__")
    assert engine.resources == {}
    assert all(problem in caplog.text for problem in CASES[name]["problems"])
    adds = "\nAdd an owner: invoke member.add NAME --key FILE --roles owner --stack lab\n"
    assert (adds in caplog.text) == (name in UNOWNED)


class Nothing(mocks.Mocks):
    """Whatever is declared is a failure of the test."""

    def call(self, args: mocks.MockCallArgs) -> Any:
        raise AssertionError(args.token)

    def new_resource(self, args: mocks.MockResourceArgs) -> Any:
        raise AssertionError(args.typ)


def test_a_configuration_becomes_plain_values():
    case = CASES["complete"]
    key = public_key.parse(case["value"]["members"][0]["key"])
    roles = ("algorithm-provider", "owner", "result-consumer")
    assert workspace.parse(case["name"], case["value"]) == WorkspaceConfiguration(
        name="covid-consortium",
        backend="local",
        image="base",
        members=(MemberConfiguration("lab", key, roles),),
        cvms=(CvmConfiguration("trainer", "none", 4, 1536 << 20, 6110, cpu="max,-fma,+avx2"),),
        force=False,
    )


def test_a_configuration_for_azure_becomes_plain_values():
    found = workspace.parse("lab", value("complete-azure"))
    assert found == WorkspaceConfiguration(
        name="lab",
        backend="azure",
        image="base",
        members=found.members,
        cvms=(
            CvmConfiguration("trainer", "sev-snp", 4, 16 << 30, zone="1", size="Standard_DC4as_v5"),
            CvmConfiguration("scorer", "tdx", 3, 20 << 30, size="Standard_EC4es_v6"),
        ),
        force=False,
        ingress=("198.51.100.0/24",),
        endpoint="public",
        labels={"cost-centre": "4711"},
        budget=BudgetConfiguration(500, "EUR", (50, 90, 100), "2026-12-01", ("costs@example.org",), ""),
        azure=AzureConfiguration(
            subscription="11111111-2222-4333-8444-555555555555",
            tenant="66666666-7777-4888-8999-aaaaaaaaaaaa",
            location="westeurope",
            registry="organization/cloister-registry/main",
            orchestrator="99999999-8888-4777-8666-555555555555",
        ),
    )


def test_a_configuration_for_gcp_becomes_plain_values():
    found = workspace.parse("lab", value("complete-gcp"))
    assert found == WorkspaceConfiguration(
        name="lab",
        backend="gcp",
        image="base",
        members=found.members,
        cvms=(
            CvmConfiguration("trainer", "sev-snp", 4, 16 << 30, zone="b", size="n2d-standard-4"),
            CvmConfiguration("scorer", "tdx", 2, 4 << 30, zone="a", size="c3-standard-4"),
        ),
        force=False,
        ingress=("198.51.100.0/24", "10.20.0.0/16"),
        budget=BudgetConfiguration(500, "EUR", (50, 90), "", (), "012345-6789AB-CDEF01"),
        gcp=GcpConfiguration("my-project", "europe-west4", "organization/cloister-registry/main"),
    )


def test_wide_ingress_is_accepted_with_public_true():
    said = changed(value("azure-ingress-internet"), {"public": True})
    assert workspace.parse("lab", said).ingress == ("0.0.0.0/0",)


def test_more_than_forty_invalid_configurations_are_tested():
    assert len(WRONG) > 40


def test_message_has_one_line_per_problem():
    with pytest.raises(ConfigurationError) as caught:
        workspace.parse("lab", {"backend": "local"})
    assert caught.value.message == (
        "The configuration of workspace 'lab' is invalid:\n"
        "  workspace.image: is missing.\n"
        "  workspace.members: is missing.\n"
        "  workspace.cvms: is missing."
    )
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("private", [ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP384R1())])
def test_a_public_key_may_be_pem_or_base64(private: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey):
    public = private.public_key()
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    assert public_key.parse(pem) == der
    assert public_key.parse("".join(pem.splitlines()[1:-1])) == der


def test_private_key_is_rejected_and_not_repeated():
    key = ed25519.Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with pytest.raises(InputError) as caught:
        public_key.parse(pem)
    assert caught.value.message == "The key is a private key, expected a public key. Never give it away."
