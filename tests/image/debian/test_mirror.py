"""The mirror comes from the environment or from apt."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from image.debian.mirror import Mirror, MirrorError

DEB822 = """\
Types: deb deb-src
# a comment in the middle
URIs: http://mirror.example.org/debian/
Suites: bookworm bookworm-updates
Components: main

Types: deb
URIs: https://security.example.org/debian-security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: https://off.example.org/debian
Suites: sid
"""
ONE_LINE = """\
# deb http://commented.example.org/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/x.gpg] http://mirror.example.org/debian bookworm main
deb-src http://source.example.org/debian bookworm main
deb cdrom:[Debian]/ bookworm main
deb http://other.example.org/ubuntu noble main
"""


def apt(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return folder


def test_deb822_sources_are_read(tmp_path: Path) -> None:
    mirror = Mirror.of_host({}, apt(tmp_path, "sources.list.d/debian.sources", DEB822))
    assert mirror == Mirror(
        {
            "debian": "http://mirror.example.org/debian",
            "debian-security": "https://security.example.org/debian-security",
        }
    )
    assert mirror.address("debian", "pool/a.deb") == "http://mirror.example.org/debian/pool/a.deb"


def test_one_line_sources_are_read_and_imply_the_security_archive(tmp_path: Path) -> None:
    assert Mirror.of_host({}, apt(tmp_path, "sources.list", ONE_LINE)).bases == {
        "debian": "http://mirror.example.org/debian",
        "debian-security": "http://mirror.example.org/debian-security",
    }


def test_environment_takes_precedence_over_apt(tmp_path: Path) -> None:
    environment = {
        "CLOISTER_DEBIAN_MIRROR": "http://own.example.org/",
        "CLOISTER_DEBIAN_SNAPSHOT": "http://old.example.org",
    }
    mirror = Mirror.of_host(environment, apt(tmp_path, "sources.list", ONE_LINE))
    assert mirror.bases == {
        "debian": "http://own.example.org/debian",
        "debian-security": "http://own.example.org/debian-security",
    }
    assert mirror.snapshot_address("debian", "pool/a.deb", datetime(2026, 1, 31, 8, tzinfo=UTC)) == (
        "http://old.example.org/archive/debian/20260201T080000Z/pool/a.deb"
    )


def test_host_without_debian_mirror_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(MirrorError) as caught:
        Mirror.of_host({}, apt(tmp_path, "sources.list", "deb http://other.example.org/ubuntu noble main\n"))
    assert "CLOISTER_DEBIAN_MIRROR is not set" in caught.value.message
    assert "Set CLOISTER_DEBIAN_MIRROR=http://HOST," in caught.value.hint
    assert "CLOISTER_DEBIAN_SNAPSHOT=http://HOST," in caught.value.hint


@pytest.mark.parametrize("variable", ["CLOISTER_DEBIAN_MIRROR", "CLOISTER_DEBIAN_SNAPSHOT"])
def test_variable_without_an_address_is_named(tmp_path: Path, variable: str) -> None:
    with pytest.raises(MirrorError, match=f"{variable} is 'mirror.example.org', expected an address") as caught:
        Mirror.of_host({variable: "mirror.example.org"}, apt(tmp_path, "sources.list", ONE_LINE))
    assert "http://HOST" in caught.value.hint
