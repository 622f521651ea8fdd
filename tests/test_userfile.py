"""Files that a user names: only regular ones, never more than the limit, and whole ones are written or none."""

import errno
import os
import socket
from pathlib import Path

import pytest

from cloister import userfile
from cloister.errors import InputError


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


def test_pipe_that_appears_in_the_last_moment_does_not_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "file"
    file.touch()
    check = userfile.check

    def swapped(path: Path) -> None:
        check(path)
        file.unlink()
        os.mkfifo(file)

    monkeypatch.setattr(userfile, "check", swapped)
    with pytest.raises(OSError, match="Is a pipe, not a file"):
        userfile.open_regular(file)


def test_new_file_is_not_written_through_a_link_that_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Others may write to the folder."""
    names: list[str] = []
    for _ in range(2):
        with userfile.replacing(tmp_path / "file") as part:
            part.touch()
            names.append(part.name)
    assert len(set(names)) == 2

    kept = tmp_path / "kept"
    kept.write_bytes(b"before")
    monkeypatch.setattr(userfile.secrets, "token_hex", lambda size: "0")
    (tmp_path / ".file.0.part").symlink_to(kept)
    with pytest.raises(InputError, match="file cannot be written: File exists"):
        userfile.write_file(tmp_path / "file", b"content")
    assert kept.read_bytes() == b"before"


def test_new_file_replaces_nothing_and_follows_no_link(tmp_path: Path):
    kept, dangling = tmp_path / "kept", tmp_path / "dangling"
    kept.write_bytes(b"before")
    dangling.symlink_to(tmp_path / "absent")
    (tmp_path / "link").symlink_to(kept)
    for taken in (kept, dangling, tmp_path / "link"):
        with pytest.raises(FileExistsError):
            userfile.write_new(taken, b"content")
    userfile.write_new(tmp_path / "new", b"content", 0o600)

    assert kept.read_bytes() == b"before"
    assert not (tmp_path / "absent").exists()
    assert ((tmp_path / "new").read_bytes(), (tmp_path / "new").stat().st_mode & 0o777) == (b"content", 0o600)


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


@pytest.mark.parametrize("there", [True, False])
def test_output_to_a_link_goes_to_its_target(tmp_path: Path, there: bool) -> None:
    (tmp_path / "disk").mkdir()
    if there:
        (tmp_path / "disk" / "file").write_bytes(b"before")
    (tmp_path / "near").symlink_to("disk/file")
    (tmp_path / "far").symlink_to(tmp_path / "near")

    userfile.write_file(tmp_path / "far", b"content")

    assert (tmp_path / "disk" / "file").read_bytes() == b"content"
    assert [path.is_symlink() for path in (tmp_path / "far", tmp_path / "near")] == [True, True]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["disk", "far", "file", "near"]


def test_link_to_a_special_file_is_rejected_and_kept(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "disk").symlink_to("not-mounted/file")
    with (tmp_path / "gone").open("wb") as gone:
        (tmp_path / "gone").unlink()
        (tmp_path / "open").symlink_to(f"/proc/self/fd/{gone.fileno()}")
        for name in ("link", "circle", "disk", "open"):
            with pytest.raises(InputError, match=f"{name} cannot be written: "):
                userfile.write_file(tmp_path / name, b"content")

    left = {path.name: path.is_symlink() for path in tmp_path.iterdir()}
    assert left == {"pipe": False, "link": True, "circle": True, "disk": True, "open": True}


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))])
def test_older_file_is_unchanged_and_nothing_else_is_left_after_an_error(
    tmp_path: Path, error: type[BaseException] | BaseException
) -> None:
    (tmp_path / "file").write_bytes(b"before")
    with (
        pytest.raises(InputError if isinstance(error, OSError) else (KeyboardInterrupt, ValueError)),
        userfile.replacing(tmp_path / "file") as part,
    ):
        part.write_bytes(b"half")
        raise error

    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"before")]


@pytest.mark.parametrize("kind", ["PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "OPENSSH PRIVATE KEY", "EC PRIVATE KEY"])
def test_private_key_is_never_replaced(tmp_path: Path, kind: str) -> None:
    key, link = tmp_path / "lab.pem", tmp_path / "link"
    key.write_text(f"-----BEGIN {kind}-----\nbWluZQ==\n-----END {kind}-----\n")
    link.symlink_to(key)
    before = key.read_bytes()
    for path in (key, link):
        with pytest.raises(InputError, match=r"lab\.pem is a private key, which is never overwritten\.") as caught:
            userfile.write_file(path, b"content")
        assert caught.value.hint == "Name another file."
    assert key.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lab.pem", "link"]


def test_public_key_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "lab.pub").write_text("-----BEGIN PUBLIC KEY-----\n")
    userfile.write_file(tmp_path / "lab.pub", b"content")
    assert (tmp_path / "lab.pub").read_bytes() == b"content"


def test_folder_of_a_new_file_is_made_unless_a_file_is_in_its_place(tmp_path: Path) -> None:
    userfile.write_file(tmp_path / "new/folder/file", b"content")
    assert (tmp_path / "new/folder/file").read_bytes() == b"content"
    with pytest.raises(InputError, match=r"file/other cannot be written: Not a directory\.") as caught:
        userfile.write_file(tmp_path / "new/folder/file/other", b"content")
    assert "a part of it is not a folder" in caught.value.hint
