"""The review of a manifest in plain words."""

import dataclasses

import pytest

from cloister.client.computation.review import review_manifest
from tests import oci_archives
from tests.client.parties import Parties
from tests.client.script.test_binary import program


@pytest.fixture
def parties(tmp_path):
    return Parties.make(tmp_path)


def text(parties, reader):
    sections = review_manifest(parties.manifest(), parties.keys[reader].public)
    return "\n".join(line for section in sections for line in section.lines)


def test_review_lists_providers_and_consumers_with_fingerprints(parties):
    said = text(parties, "hospital-1")

    assert f"hospital-1 (this is you): key {parties.keys['hospital-1'].id}" in said
    assert "hospital-1 provides the dataset h1: h1.csv, 3.906 KiB, SHA-256" in said
    assert "lab's program (python) runs as: train.py --epochs 1" in said
    assert "lab and hospital-1 receive the result, once each, at most 1 MiB, within 1 day" in said
    assert "lab may read what the program prints, at most 4 KiB, after it has ended." in said
    assert "At most 2 minutes, 256 MiB of memory, 1 CPU, 16 processes." in said


def test_review_of_a_result_for_one_party_has_no_each(parties):
    parties.edit("consumers: [lab, hospital-1]", "consumers: [lab]")

    assert "lab receives the result, once, at most 1 MiB, within 1 day" in text(parties, "hospital-1")


def test_review_says_that_any_provider_can_end_the_computation(parties):
    said = text(parties, "lab")

    assert "hospital-1, hospital-2 or lab can end the computation with `withdraw` until someone has a result." in said


APPROVALS = {
    "{by: [hospital-2], sees: names}": (
        "lab and hospital-1 receive the result",
        "hospital-2 must approve the result before anyone else receives it.",
        "hospital-2 sees names and sizes of its files before that, and nothing else of it.",
        "no decision within 1 day after the result is ready, wipes everything.",
        "The names of the result's files can hold 512 KiB of data, and hospital-2 sees them before anyone approves.",
        "lab may read what the program prints, at most 4 KiB, after the result is approved.",
        "An approval releases what the program prints, too, which hospital-2 will not have read.",
    ),
    "{by: [hospital-2], sees: files}": (
        "lab, hospital-1 and hospital-2 receive the result",
        "hospital-2 receives the whole result before that: it may read it first and refuse it to others.",
    ),
    "{by: [lab, hospital-1], sees: files}": (
        "lab and hospital-1 receive the result",
        "lab and hospital-1 must approve the result before anyone else receives it; all of them must.",
        "each of them may read it first and refuse it to others.",
        "lab wrote the algorithm and decides whether its result is released.",
    ),
}


@pytest.mark.parametrize("approval", APPROVALS)
def test_review_says_who_decides_on_the_result_and_what_it_sees(parties, approval):
    assert "approve" not in text(parties, "lab")
    parties.edit("max: 1MiB", f"max: 1MiB, approval: {approval}")
    said = text(parties, "lab")

    assert [one for one in APPROVALS[approval] if one not in said] == []


def test_review_shows_the_files_of_the_algorithm(parties):
    (parties.folder / "w.pth").write_bytes(b"w" * 2048)
    parties.edit("  kind: python", "  kind: python\n  files: [{file: w.pth, at: weights/hub/w.pth}]")

    said = text(parties, "hospital-1")

    assert "lab provides the file w-pth, read-only at /work/weights/hub/w.pth: w.pth, 2 KiB, SHA-256" in said
    assert "It reads these files as part of the program: /work/weights/hub/w.pth" in said


def test_review_says_what_a_kind_means(parties):
    assert "It is a Python program: you can read what it does before you agree." in text(parties, "hospital-1")
    (parties.folder / "train.py").write_bytes(program(linker=""))
    parties.edit("  kind: python", "  kind: binary")

    said = text(parties, "hospital-1")
    assert "lab's program (binary) runs as: train.py --epochs 1" in said
    assert "It is a compiled program: what it does cannot be read from it." in said


def test_review_names_the_image_of_a_container(parties):
    layers = [[oci_archives.Entry("bin/run", oci_archives.PROGRAM, mode=0o755)]]
    oci_archives.simple(layers, {"Entrypoint": ["run"]}).write(parties.folder / "train.py")
    parties.edit("  kind: python", "  kind: oci")
    manifest = parties.manifest()
    said = text(parties, "hospital-1")

    assert "It is an image of a container: files and programs of its own run instead of the machine's." in said
    assert f"The image is sha256:{manifest.algorithm.container.digest}. Unpacked it takes" in said


def test_review_says_how_much_data_could_leave(parties):
    said = text(parties, "lab")

    assert "lab wrote the algorithm and receives the result." in said
    assert "1 MiB of the result can hold all of h1 and h2." in said
    assert "4 KiB of the log can hold all of h1 and h2." in said


@pytest.mark.parametrize(
    ("logs", "said"),
    [
        ("{readers: [lab], max: 4KiB, release: live}", True),
        ("{readers: [lab], max: 4KiB, release: end}", False),
        ("{readers: [lab], max: 0B, release: live}", False),
        ("{readers: [], max: 4KiB, release: live}", False),
    ],
)
def test_review_says_what_the_network_sees_of_a_log_that_is_followed(parties, logs, said):
    parties.edit("logs: {readers: [lab], max: 4KiB}", f"logs: {logs}")
    assert ("the network sees when the program prints and how much" in text(parties, "lab")) is said


def test_review_tells_a_reader_who_is_not_a_party(parties):
    assert f"Your key {parties.keys['stranger'].id} is not one of them." in text(parties, "stranger")


def test_odd_names_and_arguments_are_shown_without_doubt(parties):
    (parties.folder / "train now.py").write_text("")
    parties.edit("file: train.py", 'file: "train now.py"')
    parties.edit('args: [--epochs, "1"]', r'args: [--a, "b c", "", "\u00a0", "d\"e"]')
    said = text(parties, "lab")

    assert 'lab provides the algorithm: "train now.py", 0 bytes, SHA-256' in said
    assert r'runs as: "train now.py" --a "b c" "" "\u00a0" "d\"e"' in said


def test_review_says_that_the_host_can_put_back_what_is_on_the_scratch_disk(parties):
    assert "scratch disk" not in text(parties, "hospital-1")
    parties.edit("processes: 16", "processes: 16, scratch: 50GiB")
    said = text(parties, "hospital-1")
    assert "What the program writes is on the scratch disk, encrypted, at most 50 GiB." in said
    concerns = review_manifest(parties.manifest())[-1]
    assert any(line.startswith("The host can put back an older state of what the program") for line in concerns.lines)


def test_program_sees_as_many_datasets_as_there_are(parties):
    assert "It sees all datasets and has no network" in text(parties, "lab")
    manifest = parties.manifest()
    fewer = [dataclasses.replace(manifest, datasets=manifest.datasets[:count]) for count in (1, 0)]
    said = [line for one in fewer for section in review_manifest(one) for line in section.lines]
    assert any(line.startswith("It sees the dataset and has no network") for line in said)
    assert any(line.startswith("It sees no dataset and has no network") for line in said)
