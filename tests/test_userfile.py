"""Files that a user names: only regular ones, and never more than the limit."""

import errno
import os
import socket
from pathlib import Path

import pytest

from cloister import userfile


def test_file_is_read_up_to_one_byte_beyond_the_limit(tmp_path: Path):
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    (tmp_path / "link").symlink_to(file)

    assert userfile.read(file, 5) == userfile.read(tmp_path / "link", 4) == b"12345"
    assert userfile.read(file, 3) == b"1234"


def test_pipe_socket_and_device_are_rejected_without_being_opened(tmp_path: Path):
    pipe, bound = tmp_path / "pipe", tmp_path / "socket"
    os.mkfifo(pipe)
    # With a writer at the other end, opening the pipe by mistake would not block.
    other = os.open(pipe, os.O_RDWR)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(bound))
        for path, said in ((pipe, "Is a pipe"), (bound, "Is a socket"), (Path(os.devnull), "Is a device")):
            for refuse in (userfile.check, userfile.open_regular, lambda path: userfile.read(path, 1)):
                with pytest.raises(OSError, match=f"{said}, not a file"):
                    refuse(path)
    os.close(other)


def test_folder_is_not_a_file_and_a_missing_path_may_be_written(tmp_path: Path):
    userfile.check(tmp_path / "absent")
    with pytest.raises(FileNotFoundError):
        userfile.open_regular(tmp_path / "absent")
    with pytest.raises(IsADirectoryError):
        userfile.open_regular(tmp_path)


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOENT, "Check the path."),
        (errno.ENOTDIR, "a part of it is not a folder"),
        (errno.EISDIR, "not a folder"),
        (errno.EACCES, "permissions"),
        (errno.EPERM, "permissions"),
        (errno.EROFS, "where you may write"),
        (errno.ENOSPC, "Free some space"),
        (errno.EDQUOT, "Free some space"),
    ],
)
def test_error_of_a_file_says_what_to_do_about_its_cause(number: int, hint: str):
    for made in (userfile.unreadable, userfile.unwritable):
        error = made("data.csv", OSError(number, os.strerror(number)))
        assert error.exit_code == 2
        assert hint in error.hint
        assert os.strerror(number) in error.message


def test_hint_for_a_missing_file_is_not_given_for_another_cause():
    missing = userfile.unreadable("policy.json", FileNotFoundError(errno.ENOENT, "gone"), missing="Make one.")
    forbidden = userfile.unreadable("policy.json", PermissionError(errno.EACCES, "no"), missing="Make one.")
    unknown = userfile.unreadable("policy.json", OSError(errno.EIO, "broken"), missing="Make one.")

    assert missing.hint == "Make one."
    assert "permissions" in forbidden.hint and "Make one." not in forbidden.hint
    assert (unknown.hint, "permissions" in unknown.remedy) == ("", True)
