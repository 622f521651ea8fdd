"""A folder of collateral is read completely, or it is an error."""

import os
from pathlib import Path

import pytest

from cloister.client.collateral import folder
from cloister.errors import InputError


@pytest.mark.parametrize("target", ["gone.crl", "list.crl"], ids=["gone", "itself"])
def test_dangling_link_is_an_error(tmp_path: Path, target: str) -> None:
    (tmp_path / "list.crl").symlink_to(target)

    with pytest.raises(InputError, match=r"list\.crl is not a regular file"):
        folder.load_collateral(tmp_path)


def test_pipe_is_an_error_and_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "list.crl")

    with pytest.raises(InputError, match=r"list\.crl is not a regular file"):
        folder.load_collateral(tmp_path)


def test_hidden_files_and_folders_are_ignored(tmp_path: Path) -> None:
    (tmp_path / ".hidden").symlink_to("gone")
    (tmp_path / "below").mkdir()
    (tmp_path / "link").symlink_to("below")

    assert folder.load_collateral(tmp_path).items("crl") == ()
