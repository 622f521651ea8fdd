"""A provider withdraws, as it types it, and what the others are told."""

import json

import pytest

from tests.cli.test_way import WHERE, as_party, upload_all


@pytest.fixture
def folder(parties, monkeypatch):
    monkeypatch.chdir(parties.folder)
    return parties.folder


def test_provider_withdraws_and_everyone_is_told_who_did(cloister, machine, folder):
    manifest = machine.submit()
    machine.upload(manifest, manifest.assets()[-1])

    done = cloister("withdraw", *as_party("hospital-1"))

    assert done.code == 0, done.err
    assert "Withdrawn: your consent to the use of h1." in done.out
    assert "The computation has ended, and everything of all parties at" in done.out
    assert cloister("withdraw", *as_party("hospital-1")).code == 0  # as good as once
    status = cloister("status", "--key", "lab.pem", *WHERE)
    assert "State     Stopped: a provider withdrew its consent" in status.out
    assert json.loads(cloister("status", "--key", "lab.pem", *WHERE, "--json").out)["detail"] == "WITHDRAWN"
    watched = cloister("run", *as_party("lab"))
    assert watched.code == 1
    assert watched.out.rstrip().endswith("hospital-1    withdrew its consent; everything of all parties is wiped")
    assert "The computation ended without a result: a provider withdrew its consent." in watched.err
    refused = cloister("result", *as_party("lab"))
    assert (refused.code, "There is no result in the state Stopped since event" in refused.err) == (1, True)
    assert cloister("stop", "--key", "lab.pem", *WHERE).code == 4


def test_withdrawal_after_the_first_release_is_refused_with_what_came_first(cloister, machine, folder):
    manifest = machine.submit()
    upload_all(machine, manifest)
    assert cloister("result", *as_party("lab"), "--wait").code == 0

    late = cloister("withdraw", *as_party("hospital-2"))

    assert late.code == 4
    assert "The withdrawal is too late: event" in late.err
    assert "(result-consumed) came first, at 20" in late.err
    assert cloister("result", *as_party("hospital-1"), "--output", "h1.zip").code == 0


@pytest.mark.parametrize("name", ["stranger"])
def test_key_that_provides_nothing_is_told_before_anything_is_sent(cloister, machine, folder, name):
    machine.submit()

    refused = cloister("withdraw", *as_party(name))

    assert refused.code == 2
    assert "Your key provides nothing in this manifest; providers are: hospital-1, hospital-2, lab." in refused.err


def test_other_manifest_withdraws_nothing(cloister, machine, folder):
    machine.submit()
    machine.parties.manifest()  # another id

    refused = cloister("withdraw", *as_party("hospital-1"))

    assert refused.code == 3
    assert "Receiving Algorithm" in cloister("status", "--key", "lab.pem", *WHERE).out
