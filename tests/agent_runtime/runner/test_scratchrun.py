"""The packer is a sandbox's program: what it returns may be anything."""

import json

import pytest

from agent_runtime.runner.disk.scratchrun import UnsealedError, read_seal
from agent_runtime.scratch.volume import Seal

SEAL = {"root": "ab" * 32, "blocks": 4, "tree": 4}


def test_seal_is_read() -> None:
    assert read_seal(json.dumps(SEAL).encode()) == Seal("ab" * 32, 4, 4)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"done\n",
        b"\xff\xfe",
        b"null",
        b"[" * 4096,
        json.dumps(SEAL).encode()[:-1],
        json.dumps(SEAL | {"more": 1}).encode(),
        json.dumps(SEAL | {"blocks": True}).encode(),
        json.dumps(SEAL | {"root": "AB" * 32}).encode(),
    ],
)
def test_anything_else_is_not_a_seal(answer: bytes) -> None:
    with pytest.raises(UnsealedError):
        read_seal(answer)
