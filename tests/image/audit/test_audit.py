"""An audit from a verb's point of view: what it prints, what its exit code is, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest
from invoke.exceptions import Exit

from image.inputs.lockfile import Lock
from image.verbs import change
from tests import output_schema
from tests.image.audit import small_lock
from tests.image.audit.small_lock import record, release

ISSUES = {
    "glibc": {
        "CVE-2026-6238": release("resolved", "2.41-12+deb13u5", urgency="low"),
        "CVE-2010-4756": release("open", urgency="unimportant"),
    },
    "linux": {"CVE-2013-7445": release("open", nodsa="Minor issue", nodsa_reason="ignored")},
    "tzdata": {"CVE-2026-9": release("resolved", "2026g-1")},
}


class AuditVerb:
    """Runs the verb on the small image."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys
        self.lock: Lock = small_lock.lock()
        self.image = small_lock.image(folder / "image", self.lock)
        self.debian = small_lock.tracker(folder / "tracker.json", ISSUES)
        self.osv = folder / "osv.json"
        self.osv.write_text(json.dumps([record("GHSA-1", ("PyPI", "small-pkg", [{"introduced": "2"}]))]))

    def __call__(self, **options: Any) -> tuple[int, str, str]:
        """Exit code, output and messages."""
        words = {"image": str(self.image), "debian": str(self.debian), "osv": str(self.osv), **options}
        code = 0
        try:
            change.audit.body(None, **words)
        except Exit as ended:
            code = ended.code
        return code, *self.capsys.readouterr()


@pytest.fixture
def audit(cache_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> AuditVerb:
    return AuditVerb(tmp_path, capsys)


def test_what_counts_is_listed_and_the_rest_counted(audit: AuditVerb) -> None:
    code, out, err = audit()
    assert out.splitlines() == [
        "CVE-2026-6238: glibc 2.41-12+deb13u4 (in busybox-static 1:1.37.0-6+b9), fixed in 2.41-12+deb13u5, "
        "urgency: low; in the image: usr/bin/busybox",
        "glibc 2.41-12+deb13u4: 1 open, minor",
        "glibc 2.41-12+deb13u5: 1 open, minor",
        "linux 6.12.1-1: 1 open, minor",
        "tzdata 2026f-0+deb13u1: 1 fixable, in no file of the image",
        "Known vulnerabilities in the 9 components of base: 5. Those that count (fixable): 1.",
    ]
    assert code == 6
    assert "Known vulnerabilities of base that count (fixable): 1." in err


@pytest.mark.parametrize(("level", "count"), [("never", 0), ("fixable", 1), ("open", 1), ("all", 4)])
def test_exit_code_is_that_of_the_level(audit: AuditVerb, level: str, count: int) -> None:
    code, out, _ = audit(fail_on=level, json=True)
    output_schema.validate("invoke.image.audit", out)
    value = json.loads(out)
    assert (code, value["failed"], sum(one["counts"] for one in value["findings"])) == (
        6 * (count > 0),
        count > 0,
        count,
    )
    assert (value["lock"], value["date"], value["image"]) == (audit.lock.digest(), "2026-11-01T00:00:00Z", True)


def test_json_keeps_the_databases_words(audit: AuditVerb) -> None:
    found = {one["id"]: one for one in json.loads(audit(json=True)[1])["findings"]}
    assert found["CVE-2013-7445"]["said"] == {
        "urgency": "not yet assigned",
        "no_dsa": "Minor issue",
        "no_dsa_reason": "ignored",
    }
    assert (found["CVE-2026-9"]["in_image"], found["CVE-2026-9"]["files"]) == ("no", [])


def test_data_cannot_steer_a_terminal(audit: AuditVerb) -> None:
    issue = {"glibc": {"CVE-1\x1b[2J": release("open", urgency="\x1b]0;title\x07\u202e\n0 known")}}
    small_lock.tracker(audit.debian, issue)
    out = audit(fail_on="all")[1]
    assert "CVE-1" in out
    assert all(char.isprintable() or char == "\n" for char in out)
    assert len(out.splitlines()) == 3


def test_accepted_vulnerability_does_not_count(audit: AuditVerb) -> None:
    decision = '[[accept]]\nid = "CVE-2026-6238"\npackage = "glibc"\nreason = "no resolver"\nuntil = 9999-12-31\n'
    (audit.folder / "accepted.toml").write_text(decision)
    code, out, _ = audit(accept=str(audit.folder / "accepted.toml"))
    assert code == 0
    assert "glibc 2.41-12+deb13u4: 1 accepted" in out
    value = json.loads(audit(accept=str(audit.folder / "accepted.toml"), json=True)[1])
    assert [one["accepted"] for one in value["findings"] if one["id"] == "CVE-2026-6238"] == [
        {"reason": "no resolver", "until": "9999-12-31"}
    ]


def test_lock_alone_counts_what_may_be_in_its_image(audit: AuditVerb) -> None:
    code, out, _ = audit(image="base", lock=str(audit.image / "lock.json"))
    assert code == 6
    assert "tzdata 2026f-0+deb13u1, fixed in 2026g-1" in out
    assert "The image is not built: whether it has their files is not known." in out


def test_one_database_is_enough(audit: AuditVerb) -> None:
    # The small file has records about wheels only, and Debian's tracker is not there.
    assert audit(debian="")[:2] == (
        0,
        f"{audit.osv} has no record about Debian:13: nothing is known of it.\n"
        "Known vulnerabilities in the 9 components of base: 0. Those that count (fixable): 0.\n",
    )
    audit.osv.write_text(json.dumps([record("GHSA-1", ("PyPI", "small-pkg", [{"introduced": "0"}, {"fixed": "1.6"}]))]))
    code, out, _ = audit(debian="")
    assert code == 6
    assert out.startswith(
        "GHSA-1: small-pkg 1.5 (in Small_Pkg 1.5), fixed in 1.6; in the image: usr/lib/cloister/Small_Pkg"
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"debian": "", "osv": ""}, "There is no data about vulnerabilities"),
        ({"debian": "absent"}, "absent cannot be read: No such file"),
        ({"osv": "/dev/null"}, "Is a device, not a file"),
        ({"fail_on": "high"}, "--fail-on must be one of never, fixable, open, all, not 'high'"),
        ({"image": "./absent"}, "The image manifest absent does not exist"),
        ({"image": "absent"}, "Unknown flavor 'absent'"),
        ({"image": "base", "lock": "absent"}, "absent cannot be read"),
        ({"image": "./absent", "lock": "absent"}, "--lock is instead of an image"),
        ({"image": "base", "lock": "absent", "recipe": "own.toml"}, "--lock is instead of an image"),
        ({"accept": "absent"}, "absent cannot be read"),
        ({"from_": "absent"}, "Cannot read the vendored inputs absent"),
        ({"from_": "absent"}, "Name a tar that `invoke image.vendor` has written"),
    ],
)
def test_wrong_input_is_told(audit: AuditVerb, options: dict[str, str], said: str) -> None:
    code, out, err = audit(**options)
    assert (code, out) == (2, "")
    assert said in err


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        ("x = 1", "accept.toml has the unknown key 'x'"),
        ('[[accept]]\nid = "CVE-1"', "accept.toml: accept[0]: the key 'package' is missing"),
        ('[[accept]]\nid = "CVE-1"\npackage = "glibc"\nreason = " "\nuntil = 2030-01-01', "CVE-1 needs a reason"),
    ],
)
def test_wrong_decision_is_told_with_its_file(audit: AuditVerb, decision: str, said: str) -> None:
    file = audit.folder / "accept.toml"
    file.write_text(decision)
    code, out, err = audit(accept=str(file))
    assert (code, out) == (2, "")
    assert f"{audit.folder}/" in err
    assert said in err
    assert "Correct the file" in err


def test_file_that_differs_from_the_manifest_is_refused(audit: AuditVerb) -> None:
    (audit.image / "files.json").write_text("{}")
    code, _, err = audit()
    assert code == 2
    assert "files.json: SHA-256 differs from the manifest beside it" in err
    (audit.image / "lock.json").unlink()
    (audit.image / "files.json").unlink()
    assert "has no lock.json, which says what the image was built from" in audit()[2]
