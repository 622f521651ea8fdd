"""The algorithm's output reaches its reader whole, also over connections that break, and from one boot only."""

from dataclasses import replace

import pytest

from cloister.client.computation import logs
from cloister.client.computation.logs import read_logs
from cloister.client.connection.connection import Connection
from cloister.client.connection.refusal import DamagedStream
from cloister.endpoint import Address
from cloister.errors import ProofError
from tests.line import cut

LINES = b"".join(b"line %06d\n" % number for number in range(30_000))


@pytest.fixture
def printed(machine):
    """A machine whose algorithm has printed LINES."""
    machine.parties.edit("max: 4KiB", "max: 1MiB, release: live")
    text = "for number in range(30_000):\n    print(f'line {number:06}')\nopen('results/a', 'w').write('x')\n"
    machine.parties.files["algorithm"].write_text(text)
    manifest = machine.run()
    return machine, manifest


def connection(machine, manifest, address: Address | None = None) -> Connection:
    made = machine.connection("lab", manifest)
    if address is not None:
        made.target = replace(made.target, address=address)
    return made


@pytest.mark.parametrize("follow", [False, True])
def test_output_is_whole_after_a_broken_connection(printed, monkeypatch, follow):
    machine, manifest = printed
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    got = bytearray()

    with cut(machine.running.address, 150_000, downward=True) as between:
        with connection(machine, manifest, between.address) as broken:
            assert not read_logs(broken, got.extend, follow=follow)
        assert between.reached == 1

    assert bytes(got) == LINES


def test_output_of_another_boot_is_not_appended(printed, monkeypatch):
    machine, manifest = printed
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with connection(machine, manifest) as lab:
        evidence = lab.evidence()
        keys = iter([b"one boot", b"another boot"])
        monkeypatch.setattr(Connection, "evidence", lambda self: _WithKey(evidence, next(keys)))
        reader = logs._LogReader(lab, lambda data: None)
        reader.read(follow=False)
        with pytest.raises(ProofError, match="was restarted while its logs were read"):
            reader.read(follow=False)


class _WithKey:
    def __init__(self, evidence, key):
        self.binding, self.event_log_key = evidence.binding, key


def test_agent_that_sends_more_than_logs_can_have_is_not_read_on(printed, monkeypatch):
    machine, manifest = printed
    monkeypatch.setattr(logs, "MAX_LOGS", 100_000)
    got = bytearray()

    with connection(machine, manifest) as lab, pytest.raises(DamagedStream, match="more than the 100000 bytes"):
        read_logs(lab, got.extend)

    assert len(got) <= 100_000
