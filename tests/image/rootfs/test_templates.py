"""Templates: an undefined name is an error, and only the debug image has a shell."""

import pytest

from image.build.source import CHECKOUT
from image.errors import ImageError
from image.inputs import recipe
from image.rootfs import templates


def rendered(name: str, flavor: str) -> bytes:
    template = (CHECKOUT / "image/guest/templates" / name).read_bytes()
    return templates.render(name, template, recipe.load(flavor).recipe.template_values)


@pytest.mark.parametrize(("template", "message"), [(b"{{ hostname }}", "'hostname' is undefined"), (b"\xff", "decode")])
def test_template_that_cannot_be_rendered_is_an_error_with_its_name(template: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=f"template issue: .*{message}"):
        templates.render("issue", template, recipe.load("base").recipe.template_values)


@pytest.mark.parametrize(
    "template",
    [
        b"{{ ''.__class__.__mro__[1].__subclasses__() }}",
        b"{{ users[0].from_table.__func__.__globals__ }}",
        b"{{ self.__init__.__globals__.__builtins__.open('/etc/hostname').read() }}",
        b"{{ cycler.__init__.__globals__.os.getcwd() }}",
        b"{{ ''|attr('__class__')|attr('mro') }}",
        b"{{ '{0.__class__.__mro__}'.format(flavor) }}",
        b"{% include '/etc/hostname' %}",
        b"{% for one in range(10 ** 9) %}{% endfor %}",
        b"{{ 1 / 0 }}",
    ],
)
def test_template_of_someone_else_reaches_nothing_of_this_machine(template: bytes) -> None:
    with pytest.raises(ImageError, match="Cannot render the template issue"):
        templates.render("issue", template, recipe.load("base").recipe.template_values)


def test_only_the_debug_image_has_a_console_shell() -> None:
    assert b"ttyS0" not in rendered("inittab", "base")
    assert b"ttyS0::respawn:" in rendered("inittab", "debug")


def test_base_image_powers_off_when_the_agent_exits() -> None:
    assert rendered("end", "base").splitlines()[2:] == [b"poweroff -f"]
    assert b"poweroff" not in rendered("end", "debug")


def test_debug_file_says_whether_the_image_is_a_debug_image() -> None:
    assert rendered("debug", "base") == b"no\n"
    assert rendered("debug", "debug") == b"yes\n"


def test_users_are_those_of_the_recipe_and_cannot_log_in() -> None:
    lines = rendered("passwd", "base").decode().splitlines()

    assert [line.split(":")[0] for line in lines] == ["root", "agent", "sandbox"]
    assert all(line.endswith("/nologin") for line in lines)
