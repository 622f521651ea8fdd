"""A frame is the protobuf message that other encoders write, and nothing else."""

import os

import pytest

from cloister.protocol import frame
from cloister.protocol.canonical import FormatError
from cloister.v1 import agent_pb2

FRAMES = [
    {"session_id": "0" * 32, "stream": 1, "counter": 0, "last": False, "ciphertext": b"x" * 16},
    {"session_id": "f" * 128, "stream": 2**64 - 1, "counter": 2**64 - 1, "last": True, "ciphertext": os.urandom(127)},
    {"session_id": "a", "stream": 300, "counter": 128, "last": True, "ciphertext": os.urandom(1 << 20)},
    {"session_id": "", "stream": 0, "counter": 0, "last": False, "ciphertext": b""},
]


@pytest.mark.parametrize("fields", FRAMES, ids=["first", "largest", "whole", "empty"])
def test_frame_is_what_protobuf_writes_and_reads(fields):
    written = frame.encode(**fields)
    message = agent_pb2.Sealed.FromString(written)
    assert {name: getattr(message, name) for name in fields} == fields
    for data in (written, message.SerializeToString()):
        found = frame.decode(data)
        assert {name: getattr(found, name) for name in fields} == fields


def _head(**fields):
    return agent_pb2.Sealed(**fields).SerializeToString()


CIPHERTEXT = b"\x2a\x03abc"
HEAD = _head(session_id="s", stream=1, counter=2, last=True)


@pytest.mark.parametrize(
    "data",
    [
        CIPHERTEXT + HEAD,
        HEAD + CIPHERTEXT + CIPHERTEXT,
        HEAD + CIPHERTEXT + b"\0",
        HEAD + CIPHERTEXT[:-1],
        HEAD + b"\x2a",
        HEAD + b"\x2a" + b"\xff" * 10 + b"\x01",
        HEAD[:-1],
        HEAD + HEAD + CIPHERTEXT,
        _head(stream=1) + _head(session_id="s") + CIPHERTEXT,
        HEAD + b"\x30\x01" + CIPHERTEXT,
        b"\x32\x01x" + CIPHERTEXT,
        b"\x12\x01x" + CIPHERTEXT,
        b"\x0a\xff\xff\xff\xff\x0fs" + CIPHERTEXT,
        b"\x0a\x02\xff\xfe" + CIPHERTEXT,
        b"\x10" + b"\x80" * 20 + CIPHERTEXT,
        _head(session_id="s" * 300) + CIPHERTEXT,
        b"\xff" * 64,
    ],
    ids=[
        "ciphertext first",
        "ciphertext twice",
        "byte after it",
        "shorter ciphertext",
        "no length",
        "endless length",
        "cut head",
        "head twice",
        "other order",
        "unknown number",
        "unknown bytes",
        "bytes for a number",
        "longer session id",
        "not UTF-8",
        "endless number",
        "very long session id",
        "anything",
    ],
)
def test_other_bytes_are_refused(data):
    with pytest.raises(FormatError, match="valid message Sealed"):
        frame.decode(data)


def test_no_prefix_of_a_frame_and_no_changed_length_is_a_frame():
    whole = frame.encode(session_id="0" * 32, stream=7, counter=300, last=True, ciphertext=b"c" * 200)
    head = len(whole) - 200 - 3
    for size in range(len(whole)):
        if size == head:
            assert frame.decode(whole[:size]).ciphertext == b""  # it cannot be decrypted
            continue
        try:
            found = frame.decode(whole[:size])
        except FormatError:
            continue
        assert size < head and not found.ciphertext
