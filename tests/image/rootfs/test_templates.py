"""Templates: an undefined name is an error, and only the debug image has a shell."""

from pathlib import Path

import pytest

from image.errors import ImageError
from image.inputs import recipe
from image.rootfs import templates


def values(flavor: str) -> dict[str, object]:
    return recipe.load(flavor).template_values


def test_undefined_name_in_a_template_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "issue").write_text("made on {{ hostname }}\n")

    with pytest.raises(ImageError, match="'hostname' is undefined"):
        templates.render("issue", values("base"), tmp_path)


def test_only_the_debug_image_has_a_console_shell() -> None:
    assert b"ttyS0" not in templates.render("inittab", values("base"))
    assert b"ttyS0::respawn:" in templates.render("inittab", values("debug"))


def test_base_image_powers_off_when_the_agent_exits() -> None:
    assert templates.render("end", values("base")).splitlines()[2:] == [b"poweroff -f"]
    assert b"poweroff" not in templates.render("end", values("debug"))


def test_debug_file_says_whether_the_image_is_a_debug_image() -> None:
    assert templates.render("debug", values("base")) == b"no\n"
    assert templates.render("debug", values("debug")) == b"yes\n"


def test_users_are_those_of_the_recipe_and_cannot_log_in() -> None:
    lines = templates.render("passwd", values("base")).decode().splitlines()

    assert [line.split(":")[0] for line in lines] == ["root", "agent", "sandbox"]
    assert all(line.endswith("/nologin") for line in lines)
