"""A usage record says what manifest and signed events say, to the minute, and no change of it stays unnoticed."""

import csv
import dataclasses
import io
import json

import pytest

from cloister.client.computation.events import EventReader, save_events
from cloister.client.computation.lifecycle import stop_computation
from cloister.client.files.keys import KeyType, generate_key
from cloister.client.result.fetch import fetch_result
from cloister.client.usage.record import UsageRecord
from cloister.client.usage.table import COLUMNS, usage_table
from cloister.client.usage.usage import check_usage, record_usage
from cloister.errors import ChangedFileError, CloisterError, InputError
from cloister.protocol import canonical
from cloister.protocol.manifest import Manifest


def save_log(machine, manifest, name="events.jsonl"):
    path = machine.parties.folder / name
    with machine.connection("lab", manifest) as connection:
        save_events(connection, path, list(EventReader(connection).records(follow=False)))
    return path


def made(machine, source, party="hospital-1", **more):
    return record_usage(source, machine.parties.keys[party], machine.policy, **more)


def test_result_and_log_give_the_same_usage_and_other_parties_can_check_it(machine):
    manifest = machine.run()
    result = machine.parties.folder / "results.zip"
    fetch_result(lambda: machine.connection("lab", manifest), manifest, machine.policy, result)

    of_result = made(machine, result)
    of_log = made(machine, save_log(machine, manifest), manifest=manifest)

    usage = of_result.usage
    assert usage["limits"] == {"time": 120, "memory": 256 * 1024**2, "cpus": 1, "processes": 16, "scratch": 0}
    assert [(one["name"], one["size"]) for one in usage["assets"]] == [
        (one.name, one.size) for one in manifest.assets()
    ]
    assert (usage["party"], usage["machine"]["workspace"]) == ("hospital-1", "trial")
    assert all(len(usage["run"][name]) == len("2026-01-31T12:30Z") for name in ("start", "end"))
    differing = {name for name, part in usage.items() if of_log.usage[name] != part}
    assert differing == {"proof", "outcome"}  # the log goes on after the receipt
    assert of_log.usage["outcome"] == "Completed"
    path = machine.parties.folder / "usage.json"
    path.write_bytes(of_result.encode() + b"\n")
    assert check_usage(path, manifest) == of_result
    assert check_usage(path).key_id == machine.parties.keys["hospital-1"].id


def test_computation_that_never_ran_has_no_minutes(machine):
    manifest = machine.submit()
    with machine.connection("lab") as connection:
        stop_computation(connection)

    usage = made(machine, save_log(machine, manifest), manifest=manifest).usage

    assert (usage["run"], usage["outcome"]) == ({"start": None, "end": None}, "Stopped")


def test_nothing_is_recorded_of_what_is_not_proven(machine):
    manifest = machine.submit()
    log = save_log(machine, manifest)
    value = manifest.value() | {"id": "0" * 32}
    for more, error, said in (
        ({}, InputError, "does not have the manifest"),
        ({"manifest": Manifest.from_value(value)}, InputError, "another manifest than yours"),
    ):
        with pytest.raises(error, match=said):
            made(machine, log, **more)
    evidence = log.with_name(log.name + ".evidence.json")
    evidence.rename(evidence.with_name("elsewhere"))
    with pytest.raises(CloisterError, match="not proven"):
        made(machine, log, manifest=manifest)
    evidence.with_name("elsewhere").rename(evidence)
    log.write_bytes(log.read_bytes().replace(b'"uptime":', b'"uptime":1', 1))
    with pytest.raises(ChangedFileError):
        made(machine, log, manifest=manifest)
    with pytest.raises(ChangedFileError):
        made(dataclasses.replace(machine, policy=machine.other_policy(cvms=("other",))), log, manifest=manifest)
    with pytest.raises(InputError):
        made(machine, machine.parties.folder / "absent", manifest=manifest)


@pytest.fixture
def record(machine):
    manifest = machine.submit()
    return manifest, made(machine, save_log(machine, manifest), manifest=manifest)


def leaves(value, place=()):
    if isinstance(value, dict):
        return [leaf for name, inner in value.items() for leaf in leaves(inner, (*place, name))]
    if isinstance(value, list):
        return [leaf for index, inner in enumerate(value) for leaf in leaves(inner, (*place, index))]
    return [place]


def test_no_change_of_a_record_stays_unnoticed(record):
    _, found = record
    for place in leaves(found.value()):
        value = json.loads(found.encode())
        at = value
        for name in place[:-1]:
            at = at[name]
        before = at[place[-1]]
        at[place[-1]] = (
            before + 1 if type(before) is int else not before if type(before) is bool else f"{before or ''}0"
        )
        with pytest.raises(CloisterError):
            UsageRecord.parse(canonical.encode(value))
    for data in (b"", b"{}", b"[]", b"PK", found.encode() + b" ", json.dumps(found.value()).encode()):
        with pytest.raises(CloisterError):
            UsageRecord.parse(data)


def test_record_of_another_manifest_or_of_a_stranger_is_refused(machine, record, tmp_path):
    manifest, found = record
    path = tmp_path / "usage.json"
    path.write_bytes(found.encode())
    value = manifest.value()
    value["limits"]["memory"] += 1
    with pytest.raises(ChangedFileError, match="is not that of the manifest"):
        check_usage(path, Manifest.from_value(value))
    path.write_bytes(UsageRecord.sign(found.usage, machine.parties.keys["stranger"]).encode())
    with pytest.raises(ChangedFileError, match="belongs to no party of the manifest"):
        check_usage(path, manifest)
    assert check_usage(path).key_id == machine.parties.keys["stranger"].id


@pytest.mark.parametrize("claimed", ["hospital-2", "lab", "stranger", None])
def test_record_in_the_name_of_another_party_is_refused(machine, record, tmp_path, claimed):
    manifest, found = record
    path = tmp_path / "usage.json"
    signed = UsageRecord.sign(found.usage | {"party": claimed}, machine.parties.keys["hospital-1"])
    path.write_bytes(signed.encode())

    with pytest.raises(ChangedFileError, match=f"of {claimed or 'no party'}, but hospital-1 signed it"):
        check_usage(path, manifest)


@pytest.mark.parametrize("kind", KeyType)
def test_every_type_of_key_signs(record, tmp_path, kind):
    _, found = record

    signed = UsageRecord.sign(found.usage, generate_key(tmp_path / f"{kind}.pem", kind))

    assert UsageRecord.parse(signed.encode()) == signed


def test_table_has_a_line_for_each_limit_and_asset(record):
    manifest, found = record

    rows = list(csv.DictReader(io.StringIO(usage_table(found).decode())))

    assert tuple(rows[0]) == COLUMNS
    assert [row["item"] for row in rows][-3:] == ["asset algorithm", "asset h1", "asset h2"]
    assert len(rows) == 6 + len(manifest.assets())
    assert {row["manifest"] for row in rows} == {manifest.digest().hex()}
