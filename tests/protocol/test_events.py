"""The event log and the receipt: a change, a gap, a repetition or another signer is detected."""

import base64
import dataclasses
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from cloister.errors import ProofError
from cloister.protocol import canonical, events, receipt, signingkey
from cloister.protocol.canonical import FormatError
from cloister.protocol.events import Event, EventChain, EventKind, Record, State

_KEY = ed25519.Ed25519PrivateKey.generate()
_SPKI = signingkey.spki_of(_KEY.public_key())


def _log(count=4, key=_KEY):
    records, previous = [], events.FIRST_PREVIOUS
    for sequence in range(count):
        event = Event(
            sequence=sequence,
            previous=previous.hex(),
            time="2026-01-01T00:00:00.000Z",
            uptime=1000 + sequence,
            kind=EventKind.ASSET,
            state=State.RECEIVING,
            detail={"asset": f"d{sequence}"},
        )
        previous = event.digest()
        records.append(events.sign(event, key))
    return records


def _check(records):
    chain = EventChain(_SPKI)
    for record in records:
        chain.add(Record.parse(record.encode()))
    return chain


@pytest.mark.parametrize("name", ["d", "\u00e4\U0001f600", 'a","signature":"', "\n\x7f"])
def test_parsed_event_has_the_bytes_that_were_signed(name):
    event = dataclasses.replace(_log(1)[0].event, detail={"asset": name}, actor="ab" * 32, manifest="cd" * 32)
    parsed = Record.parse(events.sign(event, _KEY).encode()).event
    assert parsed == event
    assert parsed.encoded == canonical.encode(event.value()) == event.encoded
    assert dataclasses.replace(parsed, uptime=7).encoded != parsed.encoded


def test_complete_log_leads_to_its_head():
    records = _log()
    chain = _check(records)
    assert (chain.count, chain.head) == (4, records[-1].event.digest())


@pytest.mark.parametrize(
    "change",
    [
        lambda log: [log[0], *log[2:]],
        lambda log: [*log[:2], log[1], *log[2:]],
        lambda log: log[1:],
        lambda log: [log[0], dataclasses.replace(log[1], signature=log[2].signature), *log[2:]],
        lambda log: [dataclasses.replace(log[0], event=dataclasses.replace(log[0].event, uptime=5)), *log[1:]],
        lambda log: [log[0], _log(2)[1], *_log(4, ed25519.Ed25519PrivateKey.generate())[2:]],
        lambda log: _log(4, ed25519.Ed25519PrivateKey.generate()),
    ],
    ids=["missing", "repeated", "beheaded", "signature", "content", "tail of another key", "another key"],
)
def test_changed_log_is_rejected(change):
    with pytest.raises(ProofError):
        _check(change(_log()))


def test_line_in_another_format_is_rejected():
    line = _log(1)[0].encode()
    for wrong in (line + b"\n", line.replace(b'"detail"', b'"surprise":1,"detail"'), line[:-1], b"{}"):
        with pytest.raises(FormatError):
            Record.parse(wrong)


def _receipt():
    return receipt.Receipt(
        files={"model.json": "01" * 32, "plots/metrics.json": "02" * 32},
        manifest="03" * 32,
        assets={"algorithm": "04" * 32},
        consents=(receipt.Consent("algorithm", "04" * 32, "lab", b"T" * 64, b"S" * 64),),
        boot_configuration="05" * 32,
        platform="local",
        confidential=False,
        pcrs={4: "06" * 32},
        log_head="07" * 32,
        salt="08" * 32,
        created="2026-01-01T00:00:00.000Z",
    )


def test_receipt_opens_with_the_key_that_signed_it():
    envelope = receipt.sign(_receipt().payload(), _KEY)
    assert receipt.Receipt.parse(receipt.open_envelope(envelope, _SPKI)) == _receipt()


def test_only_an_ed25519_key_signs_events_and_receipts():
    other = signingkey.spki_of(ec.generate_private_key(ec.SECP256R1()).public_key())
    envelope = receipt.sign(_receipt().payload(), _KEY).replace(
        signingkey.key_id(_SPKI).encode(), signingkey.key_id(other).encode()
    )
    for key in (other, b"no key"):
        with pytest.raises(ProofError, match="has no usable event-log key"):
            EventChain(key)
    with pytest.raises(ProofError, match="has no usable event-log key"):
        receipt.open_envelope(envelope, other)


@pytest.mark.parametrize(
    "time", ["", "yesterday", "2026-01-01", "2026-13-01T00:00:00.000Z", "2026-01-01T00:00:00+01:00"]
)
def test_invalid_time_is_rejected(time):
    event = dataclasses.replace(_log(1)[0].event, time=time)
    with pytest.raises(FormatError, match="An event's time"):
        Record.parse(events.sign(event, _KEY).encode())
    with pytest.raises(FormatError, match="The receipt: created"):
        receipt.Receipt.parse(dataclasses.replace(_receipt(), created=time).payload())


def test_second_consent_to_an_asset_is_rejected():
    made = _receipt()
    again = dataclasses.replace(made.consents[0], transcript=b"U" * 64)
    with pytest.raises(FormatError, match="two consents to one asset"):
        receipt.Receipt.parse(dataclasses.replace(made, consents=(*made.consents, again)).payload())


def test_receipt_by_another_key_is_rejected():
    other = ed25519.Ed25519PrivateKey.generate()
    envelope = receipt.sign(_receipt().payload(), other)
    with pytest.raises(ProofError, match="signed by the key"):
        receipt.open_envelope(envelope, _SPKI)
    renamed = envelope.replace(
        signingkey.key_id(signingkey.spki_of(other.public_key())).encode(), signingkey.key_id(_SPKI).encode()
    )
    with pytest.raises(ProofError, match="not signed by the event-log key"):
        receipt.open_envelope(renamed, _SPKI)


def test_every_changed_byte_of_an_envelope_is_detected():
    envelope = receipt.sign(_receipt().payload(), _KEY)
    for index in range(len(envelope)):
        changed = envelope[:index] + bytes([envelope[index] ^ 1]) + envelope[index + 1 :]
        with pytest.raises((ProofError, FormatError)):
            receipt.Receipt.parse(receipt.open_envelope(changed, _SPKI))


def test_receipt_is_verified_by_a_standard_library():
    key = SSlibKey.from_crypto(_KEY.public_key(), keyid=signingkey.key_id(_SPKI))
    envelope = Envelope.from_dict(json.loads(receipt.sign(_receipt().payload(), _KEY)))

    assert envelope.verify([key], threshold=1) == {key.keyid: key}
    assert envelope.payload == _receipt().payload()

    envelope.payload = envelope.payload.replace(b'"local"', b'"azure"')
    with pytest.raises(VerificationError):
        envelope.verify([key], threshold=1)


def test_receipt_is_an_in_toto_statement():
    statement = json.loads(_receipt().payload())

    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"].startswith("urn:")
    for subject in statement["subject"]:
        assert list(subject["digest"]) == ["sha256"]
        assert len(bytes.fromhex(subject["digest"]["sha256"])) == 32


@pytest.mark.parametrize("size", range(4))
def test_receipt_of_any_length_has_padding_and_the_standard_alphabet(size):
    """The statement's end varies with the size, and bytes above 0x7f give the characters that differ."""
    made = dataclasses.replace(_receipt(), files={"m" + "\u00ff\u07ff" * 3 + "x" * size: "01" * 32})
    envelope = json.loads(receipt.sign(made.payload(), _KEY))

    assert base64.b64decode(envelope["payload"], validate=True) == made.payload()
    assert len(base64.b64decode(envelope["signatures"][0]["sig"], validate=True)) == 64
    assert receipt.Receipt.parse(receipt.open_envelope(canonical.encode(envelope), _SPKI)) == made


def _changed(text, change):
    match change:
        case "no padding":
            return text.rstrip("=")
        case "base64url":
            return text.replace("+", "-").replace("/", "_")
        case "newline":
            return text[:4] + "\n" + text[4:]
        case "spare bits":
            kept = text.rstrip("=")
            return kept[:-1] + chr(ord(kept[-1]) + 1) + text[len(kept) :]
        case _:
            return text + change


@pytest.mark.parametrize("field", ["payload", "sig"])
@pytest.mark.parametrize("change", ["no padding", "base64url", "newline", "spare bits", "=", "====", "QQ==", "\u00e9"])
def test_other_text_for_the_same_bytes_is_rejected(field, change):
    """Of the 64 bytes of a signature two characters of padding remain; the statement is made to have as many."""
    sizes = (dataclasses.replace(_receipt(), platform="local" + "x" * size) for size in range(3))
    made = next(one for one in sizes if len(one.payload()) % 3 == 1)
    envelope = json.loads(receipt.sign(made.payload(), _KEY))
    holder = envelope if field == "payload" else envelope["signatures"][0]
    # A signature without + and / is one in eight; the statement is ASCII and may have neither.
    if change == "base64url" and not set("+/") & set(holder[field]):
        holder[field] = "-" + holder[field][1:]
    holder[field] = _changed(holder[field], change)

    with pytest.raises(FormatError, match="not base64 with padding"):
        receipt.open_envelope(canonical.encode(envelope), _SPKI)
