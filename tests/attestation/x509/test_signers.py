"""What is remembered of a signature: each key's result, and of few keys."""

import hashlib
from types import SimpleNamespace

from cloister.attestation.x509 import signers
from cloister.attestation.x509.signers import Signers


def test_each_key_has_its_own_result_and_is_asked_once() -> None:
    known, asked = Signers[bool](), []

    def verify(key: bytes, result: bool) -> bool:
        asked.append(key)
        return result

    for _ in range(3):
        assert known.ask(b"right", lambda: verify(b"right", True))
        assert not known.ask(b"wrong", lambda: verify(b"wrong", False))
    assert asked == [b"right", b"wrong"]


def test_keys_that_a_peer_sends_do_not_pile_up() -> None:
    known = Signers[int]()
    for number in range(1000):
        assert known.ask(number.to_bytes(4), lambda number=number: number) == number
    assert len(known._known) <= 8


def test_other_threads_that_ask_for_many_keys_at_any_moment_change_no_result(monkeypatch) -> None:
    known = Signers[int]()
    looked = []

    class Name(bytes):
        """At each look into the dictionary, another thread asks for many keys."""

        def __hash__(self) -> int:
            looked.append(self)
            with monkeypatch.context() as other:
                other.setattr(signers.hashlib, "sha256", hashlib.sha256)
                for number in range(20):
                    assert known.ask(number.to_bytes(4), lambda number=number: number) == number
            return super().__hash__()

    digest = Name(hashlib.sha256(b"mine").digest())
    monkeypatch.setattr(signers, "hashlib", SimpleNamespace(sha256=lambda data: SimpleNamespace(digest=lambda: digest)))
    for _ in range(2):
        assert known.ask(b"mine", lambda: 100) == 100
    assert looked
    assert len(known._known) <= 8
