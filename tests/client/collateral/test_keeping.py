"""A folder of collateral is filled from the vendors or from what is here, and a verifier without a network reads it."""

import datetime
from pathlib import Path

import pytest

from cloister.attestation.collateral.issuers import amd_issuers
from cloister.attestation.collateral_source import (
    CERTIFICATE,
    COLLATERAL_KINDS,
    CRL,
    STATEMENT,
    TCB_INFO,
    CollateralItem,
    Origin,
)
from cloister.attestation.snp.products import ProductLine
from cloister.attestation.testkit import Intel
from cloister.client.collateral.cache import Cache
from cloister.client.collateral.evidence_requests import Services
from cloister.client.collateral.folder import load_collateral
from cloister.client.collateral.keeping import keep_collateral, list_collateral
from cloister.client.evidence.collateral_folder import fetch_collateral, pack_collateral
from cloister.errors import InputError, UnreachableError
from tests.attestation.statements.samples import LAB, PUBLISHER, built, life, signed
from tests.client.collateral.conftest import Asking
from tests.client.collateral.services import ISSUER, NOW, Reply, Server, intel, pem, revocations

LATER = NOW + datetime.timedelta(days=30)


def items(folder: Path) -> set[tuple[str, bytes]]:
    source = load_collateral(folder)
    return {(kind, content) for kind in COLLATERAL_KINDS for content in source.items(kind)}


def test_what_is_kept_is_read_again_byte_for_byte_and_written_once(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "vendors"
    kept = [CollateralItem(CERTIFICATE, der) for der in amd_issuers().items(CERTIFICATE)]
    kept.append(CollateralItem(CRL, revocations(LATER)))

    written = keep_collateral(folder, [*kept, kept[0]])
    assert len(written) == len(kept)
    assert items(folder) == {(item.kind, item.content) for item in kept}
    assert keep_collateral(folder, kept) == ()
    assert set(list_collateral(folder)) == set(written)
    assert {one.path.name.rpartition("-")[0] for one in written} >= {
        "certificate-of-ARK-Milan",
        "revocation-list-of-Issuer",
    }
    (crl,) = (one for one in written if one.kind == CRL)
    assert (crl.until, crl.expired_at(NOW), crl.expired_at(LATER + datetime.timedelta(1))) == (LATER, False, True)
    source = load_collateral(folder)
    assert source.origin(CRL, kept[-1].content) == Origin("file", str(crl.path))


def test_statements_about_images_are_kept_with_their_expiry(tmp_path: Path) -> None:
    image = b"i" * 32
    kept = [
        CollateralItem(STATEMENT, built(image, LAB)),
        CollateralItem(STATEMENT, signed(life(image, NOW, expires=LATER), PUBLISHER)),
    ]
    written = keep_collateral(tmp_path, kept)
    assert tuple(load_collateral(tmp_path).items(STATEMENT)) == tuple(
        content for _, content in sorted((one.path, item.content) for one, item in zip(written, kept, strict=True))
    )
    assert [(one.kind, one.until) for one in written] == [(STATEMENT, None), (STATEMENT, LATER)]
    (tmp_path / "other.json").write_bytes(
        b'{"payloadType":"application/vnd.in-toto+json","payload":"","signatures":[]}'
    )
    with pytest.raises(InputError, match=r"other\.json is not collateral"):
        load_collateral(tmp_path)


def test_what_cannot_be_read_is_listed_as_what_it_is(tmp_path: Path) -> None:
    """Intel's collateral of SGX has no effect here; other collateral without one is damaged."""
    (info,) = Intel.create(NOW).collateral().items(TCB_INFO)
    for name, data in (
        ("1.json", info),
        ("2.json", info.replace(b'"id":"TDX"', b'"id":"SGX"')),
        ("3.json", info.replace(b'"fmspc":"', b'"fmspc":"z')),
        ("4.binarypb", b"\xff"),
    ):
        (tmp_path / name).write_bytes(data)
    named = {one.path.name: one.name for one in list_collateral(tmp_path)}
    assert named["1.json"].startswith("TCB info of the platforms ")
    assert named["2.json"] == "tcb-info, not for SEV-SNP or TDX"
    assert named["3.json"].startswith("tcb-info, which cannot be read: ")
    assert named["4.binarypb"].startswith("launch-endorsement, which cannot be read: ")


def test_folder_is_not_filled_with_more_files_than_are_read(tmp_path: Path) -> None:
    many = [CollateralItem("launch-endorsement", number.to_bytes(2)) for number in range(256)]
    keep_collateral(tmp_path, many)
    assert len(list_collateral(tmp_path)) == 256
    assert keep_collateral(tmp_path, many) == ()
    with pytest.raises(InputError, match="would have 257 files; at most 256"):
        keep_collateral(tmp_path, [*many, CollateralItem(CRL, revocations(LATER))])
    assert len(load_collateral(tmp_path).items("launch-endorsement")) == len(list(tmp_path.iterdir())) == 256


def test_item_takes_no_place_of_another_with_the_same_name(tmp_path: Path) -> None:
    """Four bytes of a digest are equal as often as someone likes; a file's name has sixteen."""
    (one,) = keep_collateral(tmp_path, [CollateralItem(CRL, revocations(LATER))])
    assert len(one.path.stem.rpartition("-")[2]) == 32


def test_folder_with_something_else_is_not_filled(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"notes.txt is not collateral"):
        keep_collateral(tmp_path, [])


@pytest.fixture
def services(server: Server) -> Services:
    intel(server, "90c06f000000", "platform", until=LATER)
    intel(server, "90c06f000000", "processor", until=LATER)
    chain = Reply(pem(*amd_issuers().items(CERTIFICATE)).encode())
    for line in ProductLine:
        for kind in ("vcek", "vlek"):
            server.reply(f"/{kind}/v1/{line}/cert_chain", chain)
            server.reply(f"/{kind}/v1/{line}/crl", Reply(revocations(LATER)))
    return Services(server.address, server.address, f"{server.address}/IntelSGXRootCA.der", server.address)


def test_fetch_without_evidence_gets_what_every_machine_needs(
    tmp_path: Path, server: Server, asking: Asking, services: Services
) -> None:
    folder = tmp_path / "vendors"
    filled = fetch_collateral(folder, network=asking.network(), services=services)

    filled.require_complete()
    kinds = [one.kind for one in list_collateral(folder)]
    assert (kinds.count(CRL), kinds.count("qe-identity"), kinds.count("tcb-info")) == (9, 1, 0)
    assert ISSUER.certificate in load_collateral(folder).items(CERTIFICATE)
    assert fetch_collateral(folder, network=asking.network(), services=services).written == ()


def test_request_that_fails_is_named_and_the_rest_is_kept(
    tmp_path: Path, server: Server, asking: Asking, services: Services
) -> None:
    server.reply("/vcek/v1/Turin/crl", Reply(b"", 404))
    filled = fetch_collateral(tmp_path / "vendors", network=asking.network(), services=services)

    (problem,) = filled.problems
    assert problem.startswith("Cannot fetch the revocation list of Turin's root: ")
    assert filled.written
    with pytest.raises(UnreachableError, match="1 of the requests"):
        filled.require_complete()


def test_pack_takes_what_was_fetched_before_and_files(
    tmp_path: Path, server: Server, asking: Asking, services: Services
) -> None:
    fetch_collateral(tmp_path / "first", network=asking.network(), services=services)
    own = tmp_path / "own.crl"
    own.write_bytes(revocations(LATER))

    pack_collateral(tmp_path / "packed", [own], cache=Cache(asking.folder), now=NOW)
    assert items(tmp_path / "packed") == items(tmp_path / "first") | {(CRL, own.read_bytes())}
    expired = pack_collateral(tmp_path / "late", [], cache=Cache(asking.folder), now=LATER).written
    assert {one.kind for one in expired} == {CERTIFICATE}


def test_damaged_entry_of_the_cache_is_not_packed(
    tmp_path: Path, server: Server, asking: Asking, services: Services
) -> None:
    fetch_collateral(tmp_path / "first", network=asking.network(), services=services)
    for path in asking.folder.iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    assert pack_collateral(tmp_path / "packed", cache=Cache(asking.folder), now=NOW).written == ()
