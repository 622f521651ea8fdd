"""An index is accepted only with a valid signature that has not expired."""

from datetime import timedelta

import pytest
from pysequoia import Tsk

from image.debian.release import ReleaseError, read_index, refuse_older, verify_release
from tests.image.small_archive import INDEX, NOW, SmallArchive

HOUR = timedelta(hours=1)


def test_signed_index_is_read(small_archive: SmallArchive) -> None:
    small_archive.add("crun", "1.21-1")
    release = verify_release(small_archive.release(), small_archive.keyring, codename="trixie", now=NOW + HOUR)
    assert (release.codename, release.date, release.valid_until) == ("trixie", NOW, NOW + timedelta(days=7))
    (package,) = read_index(release, small_archive.files[f"debian/dists/trixie/{INDEX}"])
    assert (package.name, package.version) == ("crun", "1.21-1")


def test_flipped_bits_of_the_signed_text_are_rejected(small_archive: SmallArchive) -> None:
    signed = small_archive.release()
    begin, end = signed.index(b"Codename"), signed.index(b"-----BEGIN PGP SIGNATURE")
    # The line break before the signature is not signed.
    for position in range(begin, end - 1, 7):
        changed = bytearray(signed)
        changed[position] ^= 1
        with pytest.raises(ReleaseError):
            verify_release(bytes(changed), small_archive.keyring, codename="trixie", now=NOW)


def test_index_signed_by_another_key_is_rejected(small_archive: SmallArchive) -> None:
    with pytest.raises(ReleaseError, match="does not verify"):
        verify_release(small_archive.release(), SmallArchive().keyring, codename="trixie", now=NOW)


def test_text_outside_of_the_signature_is_not_read(small_archive: SmallArchive) -> None:
    signed = b"Codename: sid\n" + small_archive.release()
    try:
        release = verify_release(signed, small_archive.keyring, codename="trixie", now=NOW)
    except ReleaseError:
        return
    assert release.codename == "trixie"


def test_index_signed_by_an_expired_key_is_rejected() -> None:
    archive = SmallArchive(key=Tsk.generate("Archive <archive@example.org>", validity_seconds=3600))
    signed = archive.release(valid=None)
    expiration = archive.key.extract_certificate().expiration
    assert expiration is not None
    verify_release(signed, archive.keyring, codename="trixie", now=expiration - HOUR)
    with pytest.raises(ReleaseError, match="expired"):
        verify_release(signed, archive.keyring, codename="trixie", now=expiration)


def test_index_past_its_valid_until_is_rejected(small_archive: SmallArchive) -> None:
    signed = small_archive.release(valid=HOUR)
    with pytest.raises(ReleaseError, match="was valid until 2026-06-01 13:00 UTC"):
        verify_release(signed, small_archive.keyring, codename="trixie", now=NOW + HOUR)


def test_index_of_another_suite_is_rejected(small_archive: SmallArchive) -> None:
    with pytest.raises(ReleaseError, match="for forky, not for trixie"):
        verify_release(small_archive.release(codename="forky"), small_archive.keyring, codename="trixie", now=NOW)


def test_index_older_than_the_locks_is_rejected(small_archive: SmallArchive) -> None:
    release = verify_release(small_archive.release(), small_archive.keyring, codename="trixie", now=NOW)
    refuse_older(release, NOW)
    with pytest.raises(ReleaseError, match="is older than the lock's index"):
        refuse_older(release, NOW + HOUR)


def test_package_list_with_another_digest_is_rejected(small_archive: SmallArchive) -> None:
    release = verify_release(small_archive.release(), small_archive.keyring, codename="trixie", now=NOW)
    small_archive.add("evil", "1")
    small_archive.release()
    with pytest.raises(ReleaseError, match="SHA-256 differs"):
        read_index(release, small_archive.files[f"debian/dists/trixie/{INDEX}"])
