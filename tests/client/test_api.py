"""``cloister.client`` offers what it lists, documented, and loads it only when it is used."""

import ast
import inspect
from pathlib import Path

import pytest

from cloister import client


@pytest.mark.parametrize("name", client.__all__)
def test_every_listed_name_exists(name: str) -> None:
    value = getattr(client, name)

    if inspect.isfunction(value) or inspect.isclass(value):
        assert inspect.getdoc(value)


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(client.__file__).read_text())
    (guarded,) = (node for node in tree.body if isinstance(node, ast.If))
    names = [alias.asname for node in guarded.body if isinstance(node, ast.ImportFrom) for alias in node.names]

    assert sorted(map(str, names)) == sorted(client.__all__)


def test_unlisted_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        client.no_such_name  # noqa: B018 - reading it is the test
