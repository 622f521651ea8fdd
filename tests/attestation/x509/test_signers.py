"""What is remembered of a signature: each key's result, and of few keys."""

from cloister.attestation.x509.signers import Signers


def test_each_key_has_its_own_result_and_is_asked_once() -> None:
    signers, asked = Signers[bool](), []

    def verify(key: bytes, result: bool) -> bool:
        asked.append(key)
        return result

    for _ in range(3):
        assert signers.ask(b"right", lambda: verify(b"right", True))
        assert not signers.ask(b"wrong", lambda: verify(b"wrong", False))
    assert asked == [b"right", b"wrong"]


def test_keys_that_a_peer_sends_do_not_pile_up() -> None:
    signers = Signers[int]()
    for number in range(1000):
        assert signers.ask(number.to_bytes(4), lambda number=number: number) == number
    assert len(signers._known) <= 8


def test_other_threads_that_ask_for_many_keys_at_any_moment_change_no_result() -> None:
    signers = Signers[int]()

    class Key(bytes):
        """At each look into the dictionary, another thread asks for many keys."""

        def __hash__(self) -> int:
            for number in range(20):
                assert signers.ask(number.to_bytes(4), lambda number=number: number) == number
            return super().__hash__()

    for _ in range(2):
        assert signers.ask(Key(b"mine"), lambda: 100) == 100
    assert len(signers._known) <= 8
