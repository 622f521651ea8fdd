"""Frames open only in order, in their stream and in their session."""

import pytest

from cloister.protocol import hpkekey
from cloister.protocol.canonical import FormatError
from cloister.protocol.sealing import Opener, Sealer, SealError, Sender, SessionKeys

_KEYS = SessionKeys.derive(transcript=b"T" * 64, secret=b"s" * 32, manifest_digest=b"m" * 32)


def _frames(keys=_KEYS, sender=Sender.CLIENT, method="UploadAsset", stream=7):
    sealer = Sealer(keys, sender, method, stream)
    frames = []
    for data, last in ((b"one", False), (b"two", False), (b"three", True)):
        counter, ciphertext = sealer.seal(data, last=last)
        frames.append({"stream": stream, "counter": counter, "last": last, "ciphertext": ciphertext})
    return frames


def _opener(keys=_KEYS, sender=Sender.CLIENT, method="UploadAsset", stream=7):
    return Opener(keys, sender, method, stream)


def test_frames_open_in_order_and_the_last_one_ends_the_stream():
    opener = _opener()
    assert [opener.open(**frame) for frame in _frames()] == [b"one", b"two", b"three"]
    assert opener.ended
    with pytest.raises(SealError, match="after the end"):
        opener.open(**_frames()[0])


@pytest.mark.parametrize(
    "order", [(1,), (0, 2), (0, 0), (0, 1, 1)], ids=["late start", "gap", "repeated first", "repeated second"]
)
def test_frame_out_of_order_ends_the_stream(order):
    opener, frames = _opener(), _frames()
    with pytest.raises(SealError, match="out of order"):
        for index in order:
            opener.open(**frames[index])
    assert opener.ended


@pytest.mark.parametrize(
    "other",
    [
        _opener(method="Status"),
        _opener(sender=Sender.AGENT),
        _opener(keys=SessionKeys.derive(transcript=b"U" * 64, secret=b"s" * 32, manifest_digest=b"m" * 32)),
        _opener(keys=SessionKeys.derive(transcript=b"T" * 64, secret=b"r" * 32, manifest_digest=b"m" * 32)),
        _opener(keys=SessionKeys.derive(transcript=b"T" * 64, secret=b"s" * 32, manifest_digest=b"n" * 32)),
    ],
    ids=["method", "direction", "transcript", "secret", "manifest"],
)
def test_frame_opens_only_in_its_stream_and_session(other):
    with pytest.raises(SealError, match="cannot be decrypted"):
        other.open(**_frames()[0])


def test_frame_of_another_stream_is_rejected():
    with pytest.raises(SealError, match="out of order"):
        _opener().open(**_frames(stream=8)[0])
    renamed = {**_frames(stream=8)[0], "stream": 7}
    with pytest.raises(SealError, match="cannot be decrypted"):
        _opener().open(**renamed)


def test_truncated_stream_is_detected():
    opener = _opener()
    with pytest.raises(SealError, match="cannot be decrypted"):
        opener.open(**{**_frames()[0], "last": True})


def test_no_frame_follows_the_last_one():
    sealer = Sealer(_KEYS, Sender.CLIENT, "Status", 1)
    sealer.seal(b"", last=True)
    with pytest.raises(SealError):
        sealer.seal(b"", last=True)


def test_sealed_message_opens_only_with_its_key_and_transcript():
    pair = hpkekey.HpkeKeyPair.generate()
    sealed = hpkekey.seal(pair.public, b"secret", info=b"T")
    assert pair.open(sealed, info=b"T") == b"secret"
    for wrong in (
        lambda: pair.open(sealed, info=b"U"),
        lambda: hpkekey.HpkeKeyPair.generate().open(sealed, info=b"T"),
        lambda: pair.open(sealed[:-1], info=b"T"),
        lambda: pair.open(b"", info=b"T"),
        lambda: hpkekey.seal(pair.public[:-1], b"secret", info=b"T"),
        lambda: hpkekey.seal(b"\xff" * hpkekey.PUBLIC_KEY_SIZE, b"secret", info=b"T"),
    ):
        with pytest.raises(FormatError):
            wrong()
