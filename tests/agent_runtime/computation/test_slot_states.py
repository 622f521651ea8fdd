"""The slots of a result in every order of reads and releases: never two keys for a slot."""

import hashlib
import io
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from agent_runtime.computation.results import ResultSlots
from agent_runtime.errors import CallRefusal, Reason
from cloister.protocol import slot

CONSUMERS = ("lab", "hospital")
MEMBERS: dict[str, Path | bytes] = {"model.json": b"{}" * 4000, "note.txt": b"n"}
consumers = st.sampled_from(CONSUMERS)


class SlotStates(RuleBasedStateMachine):
    """The model has the ciphertexts as they were at first, and the keys that were released."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(prefix="cl-")
        self.slots = ResultSlots(Path(self._folder.name) / "slots")
        self.ciphertexts: dict[str, bytes] = {}
        self.keys: dict[str, bytes] = {}
        self.wiped = False

    @initialize()
    def fill(self) -> None:
        self.slots.fill(CONSUMERS, MEMBERS)
        self.ciphertexts = {one: b"".join(self.slots.read(one, 0)) for one in CONSUMERS}
        assert self.ciphertexts["lab"] != self.ciphertexts["hospital"]

    @rule(consumer=consumers, part=st.floats(0, 1.2))
    def read(self, consumer: str, part: float) -> None:
        whole = self.ciphertexts[consumer]
        offset = int(len(whole) * part)
        if self._gone(consumer):
            refuses(Reason.CONSUMED, lambda: list(self.slots.read(consumer, offset)))
        elif offset > len(whole):
            refuses(Reason.MALFORMED, lambda: list(self.slots.read(consumer, offset)))
        else:
            assert b"".join(self.slots.read(consumer, offset)) == whole[offset:]

    @rule(consumer=consumers, right=st.booleans())
    def check_digest(self, consumer: str, right: bool) -> None:
        digest = hashlib.sha256(self.ciphertexts[consumer] + (b"" if right else b"x")).digest()
        if self._gone(consumer):
            refuses(Reason.CONSUMED, lambda: self.slots.check_digest(consumer, digest))
        elif not right:
            refuses(Reason.DIGEST_OF_CIPHERTEXT, lambda: self.slots.check_digest(consumer, digest))
        else:
            self.slots.check_digest(consumer, digest)

    @rule(consumer=consumers)
    def release(self, consumer: str) -> None:
        if self._gone(consumer):
            refuses(Reason.CONSUMED, lambda: self.slots.release(consumer, "later"))
            return
        key = self.slots.release(consumer, "now")
        self.keys[consumer] = key
        whole = self.ciphertexts[consumer]
        plain = b"".join(slot.decrypt(key, io.BytesIO(whole), len(whole)))
        assert zipfile.ZipFile(io.BytesIO(plain)).namelist() == sorted(MEMBERS)

    @rule()
    def wipe(self) -> None:
        self.slots.wipe()
        self.wiped = True

    @invariant()
    def a_released_slot_has_neither_key_nor_ciphertext(self) -> None:
        for one in self.slots.all():
            gone = self._gone(one.consumer)
            assert (one.key is None, one.path.exists()) == (gone, not gone)
            assert self.slots.consumed_at(one.consumer) == ("now" if one.consumer in self.keys else "")

    @invariant()
    def no_two_slots_have_the_same_key(self) -> None:
        keys = [*self.keys.values(), *(one.key for one in self.slots.all() if one.key is not None)]
        assert len(set(keys)) == len(keys)

    @invariant()
    def all_are_released_when_no_key_is_left(self) -> None:
        if self.ciphertexts:
            assert self.slots.all_released() == all(self._gone(one) for one in CONSUMERS)

    def _gone(self, consumer: str) -> bool:
        return self.wiped or consumer in self.keys

    def teardown(self) -> None:
        self._folder.cleanup()


def refuses(reason: Reason, call) -> None:
    with pytest.raises(CallRefusal) as caught:
        call()
    assert caught.value.reason is reason


TestSlotStates = SlotStates.TestCase
TestSlotStates.settings = settings(max_examples=40, stateful_step_count=15)
