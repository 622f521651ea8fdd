"""Recipes that extend others: what is merged, where the lock is, and each conflict told with its place."""

from pathlib import Path

import pytest

from image.inputs import chain, lockfile, recipe
from image.inputs.table import RecipeError

BASE = """
description = "base"
drop = ["usr/share/doc"]
[debian]
suite = "trixie"
security = true
packages = ["crun"]
[debian.left_out]
kmod = "busybox loads modules"
[kernel]
package = "linux"
modules = []
initrd_modules = []
command_line = ["quiet"]
[[users]]
name = "agent"
uid = 900
home = "/"
shell = "/usr/sbin/nologin"
[[files]]
path = "/a"
source = "a"
[[files]]
path = "/b"
source = "b"
[agent]
modules = ["agent_runtime"]
[agent.wheels]
grpcio = "1.81.1"
"""
ADDED_FILE = '[[files]]\npath = "/usr/share/scores"\nsource = "data/scores"\n'


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of a team, beside the project's recipes: base, and debug that extends it."""
    ours = tmp_path / "project"
    ours.mkdir()
    (ours / "base.toml").write_text(BASE)
    (ours / "debug.toml").write_text('extends = "base"\ndebug = true\n[kernel]\ncommand_line = ["console=ttyS0"]\n')
    (ours / "tools.toml").write_text("")
    monkeypatch.setattr(chain, "FOLDER", ours)
    folder = tmp_path / "team"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "scores").write_bytes(b"1 2 3")
    return folder


def written(team: Path, text: str, name: str = "hospital", extends: str = "base") -> str:
    """The path of a recipe of the team."""
    path = team / f"{name}.toml"
    path.write_text(f'extends = "{extends}"\n{text}')
    return str(path)


def test_empty_recipe_is_the_one_that_it_extends(team: Path) -> None:
    base, own = recipe.load("base"), recipe.load(written(team, ""))
    assert (own.recipe.flavor, own.recipe.description) == ("hospital", "base")
    assert own.recipe.request == base.recipe.request
    assert own.lock == base.lock


def test_lists_are_appended_and_values_replaced(team: Path) -> None:
    own = recipe.load(
        written(
            team,
            'description = "ours"\ndrop = ["usr/share/x"]\n[debian]\npackages = ["python3-pil"]\n'
            '[wheels]\nnumpy = "2.2.4"\n[kernel]\ncommand_line = ["mitigations=auto"]\n' + ADDED_FILE,
        )
    ).recipe
    assert own.description == "ours"
    assert own.drop == ("usr/share/doc", "usr/share/x")
    assert own.debian.packages == ("crun", "python3-pil")
    assert (own.request.wheels, own.request.agent_wheels) == ({"numpy": "2.2.4"}, {"grpcio": "1.81.1"})
    assert own.kernel.command_line == ("quiet", "mitigations=auto")
    assert [(file.path, file.contents) for file in own.files] == [
        ("/a", None),
        ("/b", None),
        ("/usr/share/scores", b"1 2 3"),
    ]


@pytest.mark.parametrize(
    ("text", "own_lock"),
    [
        ("", False),
        (ADDED_FILE, False),
        ('drop = ["usr/share/x"]\n', False),
        ('[debian]\npackages = ["python3-pil"]\n', True),
        ('[debian]\nleft_out = {perl = "no script runs"}\n', True),
        ('[wheels]\nnumpy = "2.2.4"\n', True),
    ],
)
def test_own_lock_lies_beside_the_recipe_if_it_asks_for_more(team: Path, text: str, own_lock: bool) -> None:
    lock = recipe.load(written(team, text)).lock
    expected = team / "hospital.lock.json" if own_lock else lockfile.FOLDER / "base.json"
    assert lock.path == expected


def test_chain_is_built_from_the_lowest_lock_that_has_all(team: Path) -> None:
    written(team, '[debian]\npackages = ["python3-pil"]\n', "common")
    top = recipe.load(written(team, ADDED_FILE, "ward", "./common.toml"))
    assert top.lock.path == team / "common.lock.json"
    assert top.recipe.debian.packages == ("crun", "python3-pil")
    assert sorted(path.name for path in top.own) == ["common.toml", "scores", "ward.toml"]


def test_path_is_relative_to_the_recipe_that_names_it(team: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (team / "wards").mkdir()
    written(team, 'description = "common"\n', "common")
    written(team / "wards", "", "ward", "../common.toml")
    monkeypatch.chdir(team / "wards")
    assert recipe.load("ward.toml").recipe.description == "common"


def test_digest_has_the_contents_of_own_files_and_not_their_place(team: Path, tmp_path: Path) -> None:
    digest = recipe.load(written(team, ADDED_FILE)).recipe.digest()
    moved = tmp_path / "elsewhere"
    team.rename(moved)
    assert recipe.load(str(moved / "hospital.toml")).recipe.digest() == digest
    (moved / "data" / "scores").write_bytes(b"1 2 4")
    assert recipe.load(str(moved / "hospital.toml")).recipe.digest() != digest


def test_file_replaces_one_below_only_if_it_says_so(team: Path) -> None:
    text = '[[files]]\npath = "/a"\nsource = "data/scores"\n'
    with pytest.raises(RecipeError, match=r"hospital\.toml: files: base\.toml has /a already.* replace = true"):
        recipe.load(written(team, text))
    made = recipe.load(written(team, text + "replace = true\n"))
    assert [(file.path, file.contents) for file in made.recipe.files] == [("/b", None), ("/a", b"1 2 3")]


def test_package_that_is_asked_for_is_no_longer_left_out(team: Path) -> None:
    made = recipe.load(written(team, '[debian]\npackages = ["kmod"]\n')).recipe
    assert "kmod" in made.debian.packages
    assert not made.debian.left_out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('surprise = "x"\n', r"hospital\.toml has the unknown key 'surprise'"),
        ('[debian]\nsurprise = "x"\n', r"hospital\.toml: debian has the unknown key 'surprise'"),
        (
            '[[files]]\npath = "/c"\nsource = "data/scores"\nsurprise = 1\n',
            r"files\[2\] has the unknown key 'surprise'",
        ),
        ('[debian]\npackages = ["crun"]\n', r"hospital\.toml: debian: packages: base\.toml has 'crun' already"),
        ('drop = ["usr/share/doc"]\n', r"hospital\.toml: drop: base\.toml has 'usr/share/doc' already"),
        ('[kernel]\ncommand_line = ["quiet"]\n', r"kernel: command_line: base\.toml has 'quiet' already"),
        ('drop = "usr/share/x"\n', r"hospital\.toml: 'drop' must be a list, as in base\.toml"),
        ("debian = 1\n", r"hospital\.toml: 'debian' must be a table, as in base\.toml"),
        ('[debian]\nleft_out = {crun = "no"}\n', "crun in both 'packages' and 'left_out'"),
        ('[[users]]\nname = "agent"\nuid = 901\nhome = "/"\nshell = "x"\n', "'users' contains agent twice"),
        ('[[users]]\nname = "other"\nuid = 900\nhome = "/"\nshell = "x"\n', "'users' contains 900 twice"),
        (f"{ADDED_FILE}{ADDED_FILE}", "'files' contains /usr/share/scores twice"),
        ('[[files]]\npath = "/c"\nsource = "data/none"\n', r"data/none cannot be read in .*: No such file"),
        ('[[files]]\npath = "/c"\nsource = "data"\n', r"data cannot be read in .*: Is a directory"),
        ('[[files]]\npath = "/c"\nsource = "../project/base.toml"\n', "must be in the folder of the recipe"),
        ('[[files]]\npath = "/c"\ntemplate = "/etc/passwd"\n', "must be in the folder of the recipe"),
        ("= 1\n", r"hospital\.toml is not valid TOML"),
    ],
)
def test_conflict_is_told_with_its_place(team: Path, text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe.load(written(team, text))


def test_recipe_over_one_of_a_debug_image_is_one(team: Path) -> None:
    written(team, "debug = true\n", "shell")
    assert recipe.load(written(team, "", extends="./shell.toml")).recipe.debug
    with pytest.raises(RecipeError, match=r"hospital\.toml: shell\.toml is a debug image.*'debug' cannot be false"):
        recipe.load(written(team, "debug = false\n", extends="./shell.toml"))


@pytest.mark.parametrize(
    ("extends", "message"),
    [
        ("nothing", r"hospital\.toml extends 'nothing'\. Unknown flavor 'nothing'\. Known flavors: base, debug"),
        ("tools", r"hospital\.toml extends tools, which is not the recipe of an image"),
        ("browser", r"hospital\.toml extends browser, which is not the recipe of an image"),
        ("./none.toml", r"hospital\.toml extends '\./none\.toml'\. There is no recipe \./none\.toml"),
        ("data/scores", r"must be a file whose name ends in \.toml"),
        ("./hospital.toml", r"hospital\.toml -> hospital\.toml: these recipes extend each other in a circle"),
        ("./second.toml", r"hospital\.toml -> second\.toml -> hospital\.toml: these recipes extend each other"),
    ],
)
def test_recipe_that_cannot_be_extended_is_named(team: Path, extends: str, message: str) -> None:
    written(team, "", "second", "./hospital.toml")
    with pytest.raises(RecipeError, match=message):
        recipe.load(written(team, "", extends=extends))


def test_chain_is_bounded(team: Path) -> None:
    for index in range(1, 9):
        written(team, "", f"level{index}", "base" if index == 1 else f"./level{index - 1}.toml")
    assert recipe.load(str(team / "level7.toml")).recipe.flavor == "level7"
    with pytest.raises(RecipeError, match="at most 8 recipes"):
        recipe.load(str(team / "level8.toml"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("base", "has the name of a recipe of the project"),
        ("tools", "has the name of a recipe of the project"),
        ("browser", "has the name of a recipe of the project"),
        ("My Hospital", "must have lower-case letters"),
        ("-hospital", "must have lower-case letters"),
    ],
)
def test_recipe_whose_name_cannot_be_a_flavor_is_refused(team: Path, name: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe.load(written(team, "", name))


def test_recipe_that_is_not_a_file_is_refused(team: Path) -> None:
    for words, said in (("./none.toml", "There is no recipe"), (str(team), "There is no recipe")):
        with pytest.raises(RecipeError, match=said):
            recipe.load(words)
    with pytest.raises(RecipeError, match="Unknown flavor 'windows'"):
        recipe.load("windows")


def test_path_of_a_recipe_of_the_project_is_that_recipe(team: Path) -> None:
    assert recipe.load(str(chain.FOLDER / "debug.toml")) == recipe.load("debug")
