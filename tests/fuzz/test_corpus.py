"""Every target of the fuzzer takes its own seeds, and their neighbours, as it promises."""

import random

import pytest

from tools.fuzz.targets import CORPUS, TARGETS


def _seeds(target: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted((CORPUS / target).iterdir())]


def test_every_target_has_seeds_and_every_seed_a_target() -> None:
    assert {folder.name for folder in CORPUS.iterdir()} == set(TARGETS)


@pytest.mark.parametrize("target", TARGETS)
def test_seeds_are_read_or_refused(target: str) -> None:
    for seed in _seeds(target):
        TARGETS[target](seed)


@pytest.mark.parametrize("target", TARGETS)
def test_neighbours_of_seeds_are_read_or_refused(target: str) -> None:
    source = random.Random(target)
    for seed in _seeds(target):
        for _ in range(200):
            data = bytearray(seed)
            for _ in range(source.randint(1, 4)):
                data[source.randrange(len(data))] = source.randrange(256)
            if source.random() < 0.3:
                del data[source.randrange(len(data)) :]
            TARGETS[target](bytes(data))
