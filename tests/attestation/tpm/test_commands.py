"""TPM commands against a software TPM."""

import dataclasses
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from cloister.attestation.errors import MalformedEvidence, TpmError
from cloister.attestation.evidence import TpmQuote
from cloister.attestation.testkit import LocalMachine
from cloister.attestation.tpm import commands, runtimelog, structures
from cloister.attestation.verifier import SessionPurpose, verify
from cloister.protocol import transcript
from tests.software_tpm import software_tpm


@pytest.fixture
def transport(tmp_path: Path) -> Iterator[commands.Transport]:
    with software_tpm(tmp_path) as send:
        yield send


def test_same_template_creates_the_same_key(transport: commands.Transport) -> None:
    template = structures.AK_TEMPLATE.marshal()
    first, public = commands.create_primary(transport, commands.ENDORSEMENT, template)
    commands.flush_context(transport, first)
    second, again = commands.create_primary(transport, commands.ENDORSEMENT, template)
    commands.flush_context(transport, second)
    assert again == public
    assert public.attributes == structures.AK_ATTRIBUTES


def test_quote_signs_the_selected_registers(transport: commands.Transport) -> None:
    handle, public = commands.create_primary(transport, commands.ENDORSEMENT, structures.AK_TEMPLATE.marshal())
    attest, signature = commands.quote(transport, handle, b"q" * 32, structures.QUOTED_PCRS)
    commands.flush_context(transport, handle)

    parsed = structures.Attest.parse(attest)
    values = commands.pcr_read(transport, structures.QUOTED_PCRS)
    digest = hashlib.sha256(b"".join(values[index] for index in structures.QUOTED_PCRS)).digest()
    assert parsed.extra_data == b"q" * 32
    assert parsed.quote == structures.QuoteInfo(
        (structures.PcrSelection(structures.ALG_SHA256, structures.QUOTED_PCRS),), digest
    )

    numbers = structures.EcdsaSignature.parse(signature)
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public.point)
    key.verify(utils.encode_dss_signature(numbers.r, numbers.s), attest, ec.ECDSA(hashes.SHA256()))


def test_evidence_of_a_real_tpm_is_accepted(transport: commands.Transport) -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    handle, public = commands.create_primary(transport, commands.ENDORSEMENT, structures.AK_TEMPLATE.marshal())
    # No firmware ran here: the boot log is empty, its registers are zero, PCR 2 has no separator.
    machine = dataclasses.replace(LocalMachine.create(at), boot_events=())
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public.point)
    machine = dataclasses.replace(machine, certificate=machine.authority.certify(key))
    for entry in machine.runtime_log():
        commands.pcr_extend(transport, runtimelog.PCR, entry.extended())
    evidence = machine.session(nonce=b"n" * 32, tls_key_digest=b"t" * 32, hpke_key_digest=b"h" * 32)

    qualifying = transcript.tpm_qualifying_data(evidence.report_data())
    attest, signature = commands.quote(transport, handle, qualifying, structures.QUOTED_PCRS)
    values = commands.pcr_read(transport, structures.QUOTED_PCRS)
    quote = TpmQuote(attest, signature, public.marshal(), tuple(values.values()))
    evidence = dataclasses.replace(evidence, tpm_quote=quote)

    purpose = SessionPurpose(b"n" * 32, b"t" * 32, b"h" * 32)
    verdict = verify(evidence, machine.policy(platform_pcrs={2: bytes(32)}), purpose=purpose, at=at)
    assert [check.name for check in verdict.failures] == []


def test_extend_hashes_old_and_new_value(transport: commands.Transport) -> None:
    before = commands.pcr_read(transport, range(24))
    commands.pcr_extend(transport, 15, b"\1" * 32)
    after = commands.pcr_read(transport, range(24))
    assert after == before | {15: hashlib.sha256(before[15] + b"\1" * 32).digest()}


def test_oversized_nv_index_is_an_error() -> None:
    public = structures.NvPublic(structures.NV_AK_CERTIFICATE, structures.ALG_SHA256, 0, b"", 8193).marshal()
    body = structures.sized(public) + structures.sized(b"")
    response = (0x8001).to_bytes(2) + (10 + len(body)).to_bytes(4) + bytes(4) + body
    with pytest.raises(MalformedEvidence, match="8193"):
        commands.nv_read(lambda command: response, structures.NV_AK_CERTIFICATE)


@pytest.mark.parametrize("size", [1, 512, 513, 2048])
def test_nv_index_round_trips(transport: commands.Transport, size: int) -> None:
    data = bytes(i % 251 for i in range(size))
    commands.nv_define(transport, structures.NV_AK_CERTIFICATE, size)
    commands.nv_write(transport, structures.NV_AK_CERTIFICATE, data)
    assert commands.nv_read_public(transport, structures.NV_AK_CERTIFICATE).size == size
    assert commands.nv_read(transport, structures.NV_AK_CERTIFICATE) == data
    commands.nv_undefine(transport, structures.NV_AK_CERTIFICATE)


def test_missing_nv_index_is_an_error_with_its_code(transport: commands.Transport) -> None:
    with pytest.raises(TpmError) as caught:
        commands.nv_read(transport, 0x01C1FFFF)
    assert (caught.value.command, caught.value.code) == ("TPM2_NV_ReadPublic", 0x18B)


@pytest.mark.parametrize("response", [b"", b"\x80\x01", bytes(10), b"\x80\x01\0\0\0\x0b\0\0\0\0"])
def test_truncated_response_is_malformed(response: bytes) -> None:
    with pytest.raises(MalformedEvidence):
        commands.nv_read_public(lambda _: response, structures.NV_AK_CERTIFICATE)


def test_register_of_another_size_is_malformed() -> None:
    selection = structures.PcrSelection(structures.ALG_SHA256, (4,)).marshal()
    body = bytes(4) + (1).to_bytes(4) + selection + (1).to_bytes(4) + structures.sized(bytes(31))
    response = (0x8001).to_bytes(2) + (10 + len(body)).to_bytes(4) + bytes(4) + body
    with pytest.raises(MalformedEvidence, match="31 bytes"):
        commands.pcr_read(lambda _: response, (4,))


def test_busy_tpm_is_retried_a_limited_number_of_times() -> None:
    asked: list[bytes] = []

    def busy(command: bytes) -> bytes:
        asked.append(command)
        return bytes.fromhex("8001 0000000a 00000922")

    with pytest.raises(TpmError) as caught:
        commands.startup(busy)
    assert caught.value.code == 0x922
    assert 1 < len(asked) < 20
