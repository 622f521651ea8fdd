"""Which licences a copyright file names, and what is said of one that names none."""

import pytest

from image.debian.copyright import CopyrightFile

FORMAT = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"
FREE = "its copyright file is text for people, which names no licence for machines"


@pytest.mark.parametrize(
    ("text", "licences", "gap"),
    [
        (FORMAT + "\nFiles: *\nCopyright: a\nLicense: Expat\n the text\n", ("Expat",), ""),
        (FORMAT + "License: ISC\n", ("ISC",), ""),
        (
            FORMAT
            + "\nFiles: *\nLicense: GPL-2+ or\tArtistic\n\nFiles: b\nlicense: Expat\n\nFiles: c\nLicense: Expat\n",
            ("Expat", "GPL-2+ or Artistic"),
            "",
        ),
        # The paragraph of a licence alone repeats a text that no file may have.
        (FORMAT + "\nFiles: *\nLicense: Expat\n\nLicense: GPL-3\n the text\n", ("Expat",), ""),
        (
            FORMAT + "\nFiles: *\nLicense:\n a text without a name\n\nFiles: b\nLicense: Expat\n",
            ("Expat",),
            "1 of the 2 paragraphs of its copyright file name no licence",
        ),
        (FORMAT, (), "its copyright file names no licence"),
        (FORMAT.replace("https", "http"), (), "its copyright file names no licence"),
        ("Format: http://dep.debian.net/deps/dep5\n\nFiles: *\nLicense: Expat\n", (), FREE),
        ("Format: https://example.org/copyright-format/1.0/\n\nFiles: *\nLicense: Expat\n", (), FREE),
        ("This package was debianized by someone.\n\nLicense: GPL-2\n", (), FREE),
        (" \n", (), FREE),
        ("", (), FREE),
    ],
)
def test_licences_are_those_that_the_file_names_for_machines(text: str, licences: tuple[str, ...], gap: str) -> None:
    assert CopyrightFile.parse(text.encode()) == CopyrightFile(licences, gap)


def test_bytes_that_are_not_text_name_no_licence() -> None:
    assert CopyrightFile.parse(b"\xff\xfe\0").gap == FREE
