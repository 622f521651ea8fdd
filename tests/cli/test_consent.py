"""A standing rule, as a provider and its scheduler type it."""

import pytest

from tests.cli.test_way import WHERE, as_party


@pytest.fixture
def folder(parties, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(parties.folder)
    return parties.folder


def write(cloister, *more):
    party = ("--key", "hospital-1.pem", "--policy", "policy.json")
    return cloister("rule", "manifest.json", *party, "--until", "2099-12-31", "--data", "h1=data/h1.csv", *more)


def test_rule_consents_to_a_computation_like_the_one_it_was_written_for(cloister, machine, folder):
    machine.parties.manifest()
    written = write(cloister, "--uses", "1")
    assert written.code == 0, written.err
    assert "It permits 1 computation like manifest.json until 2099-12-31." in written.out
    machine.submit()  # another id

    done = cloister("consent", "--rule", "rule.yaml", *as_party("hospital-1"))

    assert done.code == 0, done.err
    assert "Uploaded: h1, 3.906 KiB, with your consent" in done.out
    assert "consents to the use of h1" in cloister("events", *as_party("lab")).out
    machine.parties.manifest()
    used = cloister("consent", "--rule", "rule.yaml", *as_party("hospital-1"))
    assert used.code == 3  # the machine runs another manifest: no use is counted


def test_computation_of_another_kind_is_refused_with_every_difference(cloister, machine, folder):
    machine.parties.manifest()
    assert write(cloister).code == 0
    machine.parties.edit('args: [--epochs, "1"]', 'args: [--epochs, "2"]')
    machine.parties.edit("max: 1MiB", "max: 2MiB")
    machine.submit()

    refused = cloister("consent", "--rule", "rule.yaml", *as_party("hospital-1"))

    assert refused.code == 2
    assert "rule.yaml does not permit this computation." in refused.err
    assert 'algorithm.args.1: "1" in the rule, "2" here.' in refused.err
    assert "results.max: 1048576 in the rule, 2097152 here." in refused.err
    assert "consents" not in cloister("events", "--key", "lab.pem", *WHERE).out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--data", "h2=x"), "--data names h2; your datasets in the manifest are: h1."),
        (("--data", "h1"), "--data must be NAME=PATH"),
        (("--uses", "0"), "uses must be 1 to 100000."),
    ],
)
def test_wrong_rule_is_not_written(cloister, machine, folder, words, said):
    machine.parties.manifest()

    refused = cloister(
        "rule", "manifest.json", "--key", "hospital-1.pem", "--policy", "policy.json", "--until", "2099-12-31", *words
    )

    assert (refused.code, said in refused.err) == (2, True), refused.err
    assert not (folder / "rule.yaml").exists()


def test_key_without_a_dataset_gets_no_rule(cloister, machine, folder):
    machine.parties.manifest()

    refused = cloister("rule", "manifest.json", "--key", "lab.pem", "--policy", "policy.json", "--until", "2099-12-31")

    assert (refused.code, "Your key provides no dataset in this manifest." in refused.err) == (2, True)


@pytest.mark.parametrize("file", ["manifest.json", "policy.json", "absent.yaml", "train.py"])
def test_other_file_is_not_taken_for_a_rule(cloister, machine, folder, file):
    machine.submit()

    refused = cloister("consent", "--rule", file, *as_party("hospital-1"))

    assert refused.code == 2
    assert "Traceback" not in refused.err
