"""A recipe is read strictly: an unknown, missing or invalid key is an error that names the key."""

from typing import Any

import pytest

from image.inputs import lockfile, recipe
from image.inputs.parts import GuestFile
from image.inputs.recipe import Recipe
from image.inputs.table import RecipeError


def minimal() -> dict[str, Any]:
    return {
        "description": "a test",
        "debian": {
            "suite": "trixie",
            "security": True,
            "packages": ["crun"],
            "left_out": {"perl": "no scripts run"},
            "handled": [{"script": "postinst", "sha256": "00", "packages": ["libc6"], "how": "not needed"}],
        },
        "wheels": {"numpy": "2.2.4"},
        "kernel": {"package": "linux-image-6.", "modules": [], "initrd_modules": [], "command_line": ["quiet"]},
        "users": [{"name": "agent", "uid": 900, "home": "/", "shell": "/sbin/nologin"}],
        "files": [{"path": "/etc/passwd", "template": "passwd"}],
        "agent": {"modules": ["agent_runtime"], "wheels": {"grpcio": "1.81.1"}},
    }


def test_recipe_is_read() -> None:
    read = Recipe.from_dict(minimal(), "base")
    assert (read.flavor, read.debug) == ("base", False)
    assert (read.request.wheels, read.request.agent_wheels) == ({"numpy": "2.2.4"}, {"grpcio": "1.81.1"})
    assert read.files == (GuestFile("/etc/passwd", 0o644, "passwd", "", "", False),)
    assert read.digest() == Recipe.from_dict(minimal(), "base").digest()


@pytest.mark.parametrize("place", ["", "debian", "debian.handled.0", "kernel", "users.0", "files.0", "agent"])
def test_unknown_key_is_an_error_that_names_it(place: str) -> None:
    value = minimal()
    target: Any = value
    for step in filter(None, place.split(".")):
        target = target[int(step)] if step.isdigit() else target[step]
    target["surprise"] = 1
    with pytest.raises(RecipeError, match="unknown key 'surprise'"):
        Recipe.from_dict(value, "base")


@pytest.mark.parametrize(
    ("place", "key"),
    [("", "description"), ("", "debian"), ("debian", "suite"), ("kernel", "package"), ("agent", "modules")],
)
def test_missing_key_is_an_error_that_names_it(place: str, key: str) -> None:
    value = minimal()
    del (value[place] if place else value)[key]
    with pytest.raises(RecipeError, match=f"the key '{key}' is missing"):
        Recipe.from_dict(value, "base")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"debug": 1}, "'debug' must be of type bool"),
        ({"wheels": {"numpy": 1}}, "wheels.numpy must be a string"),
        ({"drop": ["a", "a"]}, "contains 'a' twice"),
        ({"compression": "xz"}, "'compression' must be lz4hc or zstd, not 'xz'"),
        ({"files": [{"path": "etc/passwd", "template": "x"}]}, "must be absolute"),
        ({"files": [{"path": "/a/../b", "template": "x"}]}, "must be absolute"),
        ({"files": [{"path": "/a", "template": "x", "source": "y"}]}, "one of 'template', 'source' and 'link'"),
        ({"files": [{"path": "/a", "link": "x", "source": "y"}]}, "one of 'template', 'source' and 'link'"),
        ({"files": [{"path": "/a"}]}, "one of 'template', 'source' and 'link'"),
        *(
            ({"files": [{"path": "/a", "source": "y", "mode": mode}]}, "not an octal number")
            for mode in ("rwx", "0o644", "06_44", "+644", " 644", "0888", "", "100644", "7" * 5000)
        ),
        ({"files": [{"path": "/a", "source": "y"}, {"path": "/a", "source": "z"}]}, "'files' contains /a twice"),
        ({"kernel": minimal()["kernel"] | {"needed": {"gcp": "gve"}}}, "'gcp' must be of type list"),
        ({"kernel": minimal()["kernel"] | {"initrd_needed": {"gcp": ["gve", "gve"]}}}, "contains 'gve' twice"),
        ({"users": [{"name": "agent", "uid": True, "home": "/", "shell": "x"}]}, "'uid' must be of type int"),
    ],
)
def test_invalid_value_is_an_error_that_names_it(change: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Recipe.from_dict(minimal() | change, "base")


def test_package_both_asked_for_and_left_out_is_an_error() -> None:
    value = minimal()
    value["debian"]["left_out"]["crun"] = "?"
    with pytest.raises(RecipeError, match="crun in both 'packages' and 'left_out'"):
        Recipe.from_dict(value, "base")


def test_a_reworded_reason_does_not_make_the_lock_stale() -> None:
    value = minimal()
    value["debian"]["left_out"]["perl"] = "nothing is written in it"
    assert Recipe.from_dict(value, "base").request.digest() == Recipe.from_dict(minimal(), "base").request.digest()


@pytest.mark.parametrize("name", ["base", "pytorch", "tools", "browser"])
def test_committed_locks_match_the_committed_recipes(name: str) -> None:
    assert lockfile.load(name, lockfile.FOLDER).request == recipe.load_request(name)[0].digest()


def test_modules_are_listed_by_platform_and_security_module() -> None:
    """The names are those of the guest's scripts: platforms in root and initrd, security modules, the scratch disk."""
    kernel = recipe.load("base").recipe.kernel
    assert sorted(kernel.needed) == ["aes", "azure", "gcp", "local", "scratch", "snp", "tdx"]
    assert sorted(kernel.initrd_needed) == ["azure", "gcp", "local"]


def test_debug_is_base_with_a_console() -> None:
    loaded = [recipe.load(name) for name in ("base", "debug")]
    base, debug = (one.recipe for one in loaded)
    assert (base.debug, debug.debug) == (False, True)
    assert loaded[1].lock == loaded[0].lock
    assert not any(word.startswith("console=") for word in base.kernel.command_line)
    assert debug.kernel.command_line[: len(base.kernel.command_line)] == base.kernel.command_line
