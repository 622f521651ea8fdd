"""What objects show in a notebook: tables, in which every word of other parties is text; elsewhere a short line."""

import dataclasses
import datetime
from pathlib import Path

import pytest
from google.protobuf.message import Message

from cloister import client
from cloister.attestation.first_policy.from_manifest import AdoptedValue
from cloister.attestation.first_policy.placeholders import Placeholder
from cloister.attestation.raw.verifier import RawVerdict
from cloister.attestation.result.verdict import Skipped
from cloister.client.html.parts import MAX_OUTPUT, MAX_ROWS
from cloister.client.party.machine_events import MachineEvents
from cloister.protocol.manifest import Asset
from tests.agent_fixture import running_agent
from tests.client.html.markup import HOSTILE, TURNED, Page, loads_nothing
from tests.client.machine import Machine
from tests.client.parties import Parties

PARSED = {
    "time",
    "consumed_at",
    "approved_at",
    "state",
    "created",
    "log_head",
    "boot_configuration",
    "transcript",
    "outcome",
}
"""Fields that are parsed before they are shown: another text in them is an error, which other tests are about."""


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """One object of each kind that shows itself, by its type's name."""
    folder = tmp_path_factory.mktemp("parties")
    parties = Parties.make(folder)
    with running_agent(tmp_path_factory.mktemp("machine"), (parties.keys["lab"].id,)) as running:
        machine = Machine.of(running, parties)
        written = client.write_manifest(folder / "manifest.yaml", folder / "written.json")
        manifest = machine.run()
        lab = client.Party(key=folder / "lab.pem", policy=folder / "policy.json", workspace=folder / "workspace.json")
        with lab.connect(manifest) as connected:
            verdict, status, log = lab.attest(), connected.status(), connected.events()
            fetched = connected.fetch(folder / "results.zip", unpack=folder / "out")
            log.save(folder / "events.jsonl")
        judged = verdict.verdict
        skipped = (Skipped("crl", b"\1" * 32, True, "wrong"),)
        raw = RawVerdict(
            "tdx", "intel", judged.at, b"", judged.checks, {"name": "value"}, ("Not judged.",), skipped=skipped
        )
        trial = client.TrialReport(
            "EXIT_STATUS", 1.0, 1, 2, 3, 4, b"printed", (client.TrialFile("a", 1),), {"limits.time": "1m"},
            ("loose",), ("advice",), ("note",), ("warning",),
        )  # fmt: skip
        asset = manifest.datasets[0]
        objects = [
            dataclasses.replace(verdict, problems=("no answer",)),
            client.Examination(dataclasses.replace(judged, skipped=skipped, recording=True), ("no answer",)),
            client.Examination(raw, ("no answer",)),
            log,
            lab.review(manifest),
            status,
            client.ResultPreview(b"\1" * 32, (("model.json", 3),), 7),
            client.ProgramLog(b"printed\nmore", True),
            client.Uploads([client.Uploaded(asset, 0), client.Uploaded(asset, 5)]),
            client.describe_asset(parties.files["h1"]),
            dataclasses.replace(written, notes=("note",), warnings=("warning",)),
            fetched,
            fetched.proof,
            lab.audit(folder / "events.jsonl"),
            trial,
            lab.check_up(folder / "absent.json"),
            client.FirstPolicy(
                machine.policy, (AdoptedValue("a", "b", "c", "d"),), (Placeholder("e", "f", "g", "h"),)
            ),
        ]  # fmt: skip
        return {f"{number}-{type(one).__name__}": one for number, one in enumerate(objects)}


KINDS = 17


def poisoned(value, word, name=""):
    """The same value with another word in each of its texts, wherever they are."""
    if type(value) is str:
        return value if name in PARSED else word
    if isinstance(value, MachineEvents):
        made = MachineEvents(value._connection, {}, follow=False, until=frozenset())
        made._records = poisoned(value._records, word)
        return made
    if isinstance(value, Message):
        made = type(value)()
        made.CopyFrom(value)
        poison_message(made, word)
        return made
    if isinstance(value, Path):
        return Path(word)
    if type(value).__name__ in ("Checkup", "ManifestReview", "Uploads"):
        return type(value)(poisoned(tuple(value), word))
    if isinstance(value, tuple | list):
        return type(value)(poisoned(one, word) for one in value)
    if isinstance(value, dict):
        return {poisoned(key, word): poisoned(one, word) for key, one in value.items()}
    if isinstance(value, Asset) or (dataclasses.is_dataclass(value) and not isinstance(value, type)):
        changed = {
            one.name: poisoned(getattr(value, one.name), word, one.name)
            for one in dataclasses.fields(value)
            if one.init and not isinstance(getattr(value, one.name), datetime.datetime)
        }
        return dataclasses.replace(value, **changed)
    return value


def poison_message(message, word):
    for field, value in message.ListFields():
        if field.message_type is not None:
            for one in value if field.is_repeated else [value]:
                poison_message(one, word)
        elif field.type == field.TYPE_STRING and field.name not in PARSED:
            if field.is_repeated:
                del value[:]
                value.append(word)
            else:
                setattr(message, field.name, word)


def test_each_kind_is_here(shown):
    assert len(shown) == KINDS
    classes = [getattr(client, name) for name in client.__all__]
    tabled = {one.__name__ for one in classes if isinstance(one, type) and hasattr(one, "_repr_html_")}
    assert tabled == {name.split("-")[1] for name in shown}


@pytest.mark.parametrize("number", range(KINDS))
def test_object_shows_itself_as_markup_that_loads_nothing(shown, number):
    name, one = list(shown.items())[number]
    page = Page(one._repr_html_())
    assert {"table", "ul", "pre"} & set(page.tags), name
    assert loads_nothing(page)
    line = repr(one)
    assert "\n" not in line
    assert 10 < len(line) < 200


@pytest.mark.parametrize("word", [HOSTILE, TURNED], ids=["markup", "invisible"])
@pytest.mark.parametrize("number", range(KINDS))
def test_words_of_others_are_text(shown, number, word):
    _, one = list(shown.items())[number]
    other = poisoned(one, word)
    text = other._repr_html_()
    page = Page(text)
    assert loads_nothing(page)
    assert set(page.tags) <= set(Page(one._repr_html_()).tags) | {"tr", "td", "th", "table", "ul", "li"}
    assert not {"\u202e", "\x1b", "\u200b"} & set(text)
    assert not {"\x1b", "\n", "\u202e"} & set(repr(other))


@pytest.mark.parametrize("number", range(KINDS))
def test_words_of_others_are_not_typeset(shown, number):
    """A notebook typesets what is between dollar signs, and a formula can hide what is in it, or lie over other text.

    MathJax leaves out elements of two classes: the first is that of its version 2, the second that of versions 3 and 4.
    """
    _, one = list(shown.items())[number]
    text = poisoned(one, r"$\phantom{no}$")._repr_html_().strip()
    assert text.startswith('<div class="cloister tex2jax_ignore mathjax_ignore">')
    assert text.endswith("</div>")
    assert text.count("<div") == text.count("</div>") == 1


def test_a_long_log_and_output_stay_small(shown):
    log = next(one for one in shown.values() if isinstance(one, MachineEvents))
    many = MachineEvents(log._connection, {}, follow=False, until=frozenset())
    many._records = [log.records[0]] * 10_000
    assert f"{10_000 - MAX_ROWS} further events" in many._repr_html_()
    assert len(many._repr_html_()) < 300_000
    assert len(client.ProgramLog(b"<" * 10_000_000, False)._repr_html_()) < 6 * MAX_OUTPUT


def test_private_key_is_not_shown(tmp_path):
    key = client.generate_key(str(tmp_path / "lab.pem"), client.KeyType.ED25519)
    assert repr(key) == f"<Key {key.id}>"
    assert repr(client.Party(key=key)) == "Party(key='...')"
