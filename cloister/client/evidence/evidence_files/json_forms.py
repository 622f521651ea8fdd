"""What a JSON document is: one table of all forms, told apart by their members."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.evidence import Evidence
from cloister.client.collateral import content
from cloister.client.evidence.evidence_files import (
    clean_rooms,
    confidential_containers,
    quote_json,
    snp_fields,
    unsupported,
)
from cloister.client.evidence.evidence_files.encoding import MAX_FILE
from cloister.client.evidence.evidence_files.members import WrapperMembers
from cloister.client.evidence.evidence_files.parts import Parts
from cloister.client.evidence.evidence_files.source import EvidenceFile
from cloister.protocol import canonical
from cloister.protocol.canonical import FormatError

_SHOWN = 6
_PLATFORMS = ("az-snp", "az-tdx", "snp", "tdx", "dstack", "tpm")


class JsonForm(NamedTuple):
    """``needs`` are the members by which a document of this form is recognised."""

    name: str
    needs: tuple[str, ...]
    add: Callable[[Parts, WrapperMembers], None]


FORMS = (
    JsonForm("a TPM quote in JSON", ("message", "signature", "pcrs"), confidential_containers.add_quote),
    JsonForm("Azure evidence of Confidential Containers", ("hcl_report",), confidential_containers.add_azure),
    JsonForm(
        "Azure evidence of Confidential Containers before version 1",
        ("report", "quote"),
        confidential_containers.add_azure_before_1,
    ),
    JsonForm("a SEV-SNP report in JSON", ("attestation_report",), confidential_containers.add_snp),
    JsonForm("TPM evidence of Confidential Containers", ("tpm_quote",), confidential_containers.add_tpm),
    JsonForm("a TPM quote of Intel Trust Authority", ("quote", "signature", "pcrs"), quote_json.add_authority_tpm),
    JsonForm("a request to Intel Trust Authority", ("quote", "verifier_nonce"), quote_json.add_authority),
    JsonForm("a request to Intel Trust Authority", ("quote", "runtime_data"), quote_json.add_authority),
    JsonForm("a request to Intel Trust Authority", ("quote", "user_data"), quote_json.add_authority),
    JsonForm("an answer of dstack's GetQuote", ("quote", "event_log"), quote_json.add_dstack),
    JsonForm("an answer of dstack's GetQuote", ("quote", "report_data"), quote_json.add_dstack),
    JsonForm("an answer of dstack's GetQuote", ("quote", "vm_config"), quote_json.add_dstack),
    JsonForm("TDX evidence of Confidential Containers", ("quote",), confidential_containers.add_tdx),
    JsonForm("evidence of several devices for Intel Trust Authority", ("tdx",), quote_json.add_composite),
    JsonForm("evidence of several devices for Intel Trust Authority", ("tpm",), quote_json.add_composite),
    JsonForm("evidence of Azure's clean rooms", ("evidence", "endorsements"), clean_rooms.add_combined),
    JsonForm("a report for Azure Attestation", ("SnpReport",), clean_rooms.add_request),
    JsonForm("certificates of Azure's hosts", ("vcekCert",), clean_rooms.add_certificates),
    JsonForm("a report of Azure's containers", ("report",), clean_rooms.add_raw),
)
"""Every form, in the order in which it is tried."""


def add(parts: Parts, data: bytes, source: EvidenceFile) -> None:
    """Recognise a JSON document and add what it has. Raises InputError, FormatError, MalformedEvidence."""
    value = canonical.parse(data, what=source.path.name, limit=MAX_FILE)
    found = WrapperMembers(value, source)
    if "binding" in found:
        parts.put("evidence", Evidence.parse_json(data), source.like("evidence of Cloister"))
    elif "platform" in found and "evidence" in found:
        _add_envelope(parts, found.like("an envelope of attestation-rs"))
    elif snp_fields.is_restated(value):
        confidential_containers.add_fields(parts, found)
    elif content.is_collateral(value):
        items = content.read(data, source.path.name)
        if not items:
            raise source.like("Intel's list of TCB evaluation numbers").refuse("no check reads it", "Omit the file.")
        parts.items += items
    else:
        _add_form(parts, found)


def _add_envelope(parts: Parts, found: WrapperMembers) -> None:
    """``platform`` says what ``evidence`` has, and is ignored: the evidence itself shows it."""
    found.only("platform", "evidence")
    if found.text("platform") not in _PLATFORMS:
        raise found.source.refuse(
            f"its platform {found.text('platform')[:32]!r} is not judged here", f"Known are {', '.join(_PLATFORMS)}."
        )
    _add_form(parts, found.object("evidence"))


def _add_form(parts: Parts, found: WrapperMembers) -> None:
    unsupported.refuse_json(found)
    form = next((one for one in FORMS if _fits(one, found.value)), None)
    if form is None:
        names = ", ".join(repr(name[:32]) for name in list(found.value)[:_SHOWN]) or "none"
        raise found.source.like("JSON").refuse(
            f"it is of no known kind: its members are {names}",
            "docs/evidence-files.md lists the kinds. Pass the report or quote alone, as bytes or hex.",
        )
    recognised = found.like(form.name)
    try:
        form.add(parts, recognised)
    except (MalformedEvidence, FormatError) as error:
        raise recognised.source.damaged(error) from error


def _fits(form: JsonForm, value: Mapping[str, Any]) -> bool:
    return all(value.get(name) is not None for name in form.needs)
