"""`collateral` keeps a folder: messages and exit codes. tests/client/collateral/test_keeping.py has what is in it."""

import datetime
import json
from pathlib import Path

import pytest

from cloister.attestation.collateral.issuers import amd_issuers
from cloister.attestation.collateral_source import CERTIFICATE
from cloister.attestation.testkit.authority import Authority
from tests import output_schema
from tests.client.collateral.services import revocations

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    Path("ark.der").write_bytes(next(iter(amd_issuers().items(CERTIFICATE))))
    Path("old.crl").write_bytes(revocations(NOW - DAY, since=NOW - 2 * DAY))
    return tmp_path


def test_pack_and_list_show_what_is_kept_and_what_has_expired(cloister, files: Path) -> None:
    done = cloister("collateral", "pack", "ark.der", "old.crl", "--collateral", "vendors", "--json")
    assert done.code == 0
    output_schema.validate("collateral", done.out)
    written = json.loads(done.out)["items"]
    assert [(one["kind"], one["expired"]) for one in written] == [("certificate", False), ("crl", True)]

    listed = cloister("collateral", "list", "--collateral", "vendors")
    assert listed.code == 0
    assert "EXPIRED revocation list of Issuer, until " in listed.out
    assert "certificate of ARK-Milan, until 2045-10-22" in listed.out
    again = cloister("collateral", "pack", "ark.der", "--collateral", "vendors")
    assert again.out == (
        "0 new in vendors.\nUse it: cloister attest --collateral vendors\n"
        "or:     cloister verify-evidence FILE... --collateral vendors\n"
    )


def test_names_that_someone_chose_write_nothing_but_text(cloister, files: Path) -> None:
    name = "x\x1b[2J\u202e\nVerdict   ACCEPTED"
    folder = files / "vendors"
    folder.mkdir()
    certificate = Authority.create(NOW, name).certificate
    (folder / "a\x1b[2J.der").write_bytes(certificate)
    listed = cloister("collateral", "list", "--collateral", "vendors")
    assert listed.code == 0 and len(listed.out.splitlines()) == 2
    assert all(line.isprintable() for line in listed.out.splitlines())
    as_json = cloister("collateral", "list", "--collateral", "vendors", "--json")
    assert json.loads(as_json.out)["items"][0]["name"] == f"certificate of {name}"
    assert all(line.isprintable() for line in as_json.out.splitlines())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "needs ACTION"),
        (("get", "--collateral", "vendors"), "'get' is not an action; it must be one of fetch, pack, list."),
        (("list",), "No folder is set."),
        (("list", "ark.der", "--collateral", "vendors"), "takes no files"),
        (("list", "--collateral", "absent"), "cannot be read"),
        (("pack", "absent", "--collateral", "vendors"), "cannot be read"),
        (("pack", "cache", "--collateral", "vendors"), "cache is a folder."),
        (("fetch", "ark.der", "--collateral", "vendors"), "do not form one piece of evidence"),
    ],
)
def test_invalid_input_exits_with_2(cloister, files: Path, words: tuple[str, ...], says: str) -> None:
    (files / "cache").mkdir()
    done = cloister("collateral", *words)

    assert (done.code, done.out) == (2, "")
    assert says in done.err
    assert not (files / "vendors").exists()
