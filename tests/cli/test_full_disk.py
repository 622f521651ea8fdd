"""A full disk is reported by every verb."""

import errno
import os
from pathlib import Path

import pytest
from invoke.collection import Collection
from invoke.context import Context
from invoke.program import Program

from cloister.cli.shell.verb import verb


def test_full_disk_is_reported_without_a_traceback(capsys: pytest.CaptureFixture[str]):
    @verb(help={})
    def full(c: Context) -> None:
        Path("/dev/full").write_bytes(b"x")

    with pytest.raises(SystemExit) as caught:
        Program(binary="cloister", namespace=Collection(full)).run(["cloister", "full"])
    assert caught.value.code == 2
    assert capsys.readouterr().err == "Error: The disk is full.\nFree some space, then run the command again.\n"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_full_disk_is_named_and_other_errors_are_raised(capsys: pytest.CaptureFixture[str], number: int):
    @verb(help={})
    def fail(c: Context) -> None:
        raise OSError(number, os.strerror(number), "/a/file")

    with pytest.raises(OSError if number == errno.EIO else SystemExit):
        Program(binary="cloister", namespace=Collection(fail)).run(["cloister", "fail"])
    assert ("The disk that holds /a/file is full." in capsys.readouterr().err) is (number != errno.EIO)
