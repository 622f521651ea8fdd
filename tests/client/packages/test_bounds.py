"""What a requirements file may ask of this machine, and what it may not make it say."""

from pathlib import Path

import pytest

from cloister.client.packages import diagnosis, lock, requirements
from cloister.client.packages.addresses import without_credentials
from cloister.client.packages.lock import lock_requirements
from cloister.client.packages.requirements import parse_requirements, read_requirements
from cloister.errors import InputError
from cloister.process import ProcessError

HASH = f"--hash=sha256:{'1' * 64}"
LINUX = "os_name == 'posix'"

DEEP = {
    "parentheses": f"a; {'(' * 17}{LINUX}{')' * 17}",
    "parentheses beyond the interpreter's stack": f"a; {'(' * 5000}{LINUX}{')' * 5000}",
    "open parentheses": f"a; {'(' * 5000}{LINUX}",
    "levels hidden by quotes": f"a; {'(' * 16}({LINUX} and ')))))))))))))))))' != os_name{')' * 17}",
    "with a hash": f"a==1; {'(' * 17}{LINUX}{')' * 17} {HASH}",
}


@pytest.mark.parametrize("name", list(DEEP))
def test_nesting_of_a_marker_is_bounded(name: str) -> None:
    with pytest.raises(InputError, match=r"r\.txt, line 2: .* nested parentheses; the limit is 16") as raised:
        parse_requirements(f"b\n{DEEP[name]}\n", what="r.txt")
    assert "\n" not in raised.value.message
    assert raised.value.hint


def test_marker_that_tools_write_is_read() -> None:
    inner = f"{'(' * 16}{LINUX}{')' * 16}"
    flat = " or ".join([f"({LINUX} and '(((((' != os_name)"] * 300)
    for marker in (inner, flat):
        assert len(parse_requirements(f"a; {marker}\n", what="r.txt").packages) == 1


LONG = {
    "marker": f"a; {LINUX} or {' or '.join([LINUX] * 1000)}",
    "name": "a" * 20_000,
    "extras": f"a[{','.join(['b'] * 10_000)}]",
    "option for a package": f"a==1 --hash=sha256:{'1' * 20_000}",
    "address": f"a @ https://x.example/{'y' * 20_000}",
    "option": f"--index-url https://x.example/{'y' * 20_000}\na",
    "option of an unknown name": f"--{'y' * 20_000}\na",
}


@pytest.mark.parametrize("name", list(LONG))
def test_line_is_bounded(name: str) -> None:
    with pytest.raises(InputError, match=r"r\.txt, line 1.* characters") as raised:
        parse_requirements(f"{LONG[name]}\n", what="r.txt")
    assert len(raised.value.message) < 300


def test_spaces_cost_nothing() -> None:
    """Each of a million spaces could begin the space before an option."""
    text = f"a==1{' ' * 1_000_000};{' ' * 1_000_000}{LINUX} \\\n{' ' * 1_000_000}{HASH}\n"
    assert len(parse_requirements(text, what="r.txt").locked()) == 1


@pytest.mark.parametrize(
    "text", ["a=={}", "a>={}", "a==1!{}", f"a=={{}} {HASH}", "a; python_version >= '{}'", "a=={}.*"]
)
def test_number_that_python_does_not_read_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="a number of more than 100 digits"):
        parse_requirements(f"{text.format('9' * 5000)}\n", what="r.txt")


def include(folder: Path, lines: dict[str, list[str]]) -> Path:
    for name, content in lines.items():
        (folder / name).write_text("".join(f"{line}\n" for line in content))
    return folder / "0.txt"


INCLUDES = {
    "chain": {f"{n}.txt": [f"-r {n + 1}.txt", "a"] for n in range(200)},
    "each includes the next twice": {f"{n}.txt": [f"-r {n + 1}.txt"] * 2 for n in range(60)},
    "each limits by the next twice": {f"{n}.txt": [f"-c {n + 1}.txt"] * 2 for n in range(60)},
    "one file often": {"0.txt": ["-r last.txt"] * 101},
    "all of each other": {f"{n}.txt": [f"-r {m}.txt" for m in range(n + 1, 12)] + ["a"] for n in range(12)},
}


@pytest.mark.parametrize("name", list(INCLUDES))
def test_included_files_are_counted_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    path = include(tmp_path, {"last.txt": ["a"], "60.txt": ["a"]} | INCLUDES[name])
    read = []
    monkeypatch.setattr(requirements.userfile, "read", lambda path, limit: read.append(path) or path.read_bytes())
    with pytest.raises(InputError, match=r"txt, line \d+: .*txt would be file 101; at most 100 are read") as raised:
        read_requirements(path)
    assert len(read) == 100
    assert raised.value.hint


@pytest.mark.parametrize("line", ["a", "a; os_name == 'nt'", "--pre"])
def test_lines_are_counted_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.setattr(requirements, "_MAX_LINES", 10)
    path = include(tmp_path, {"0.txt": ["-r 1.txt", "-c 1.txt"], "1.txt": [line, "b", "", "# c", "d", "e"]})
    assert parse_requirements("a\n" * 10, what="r.txt").packages
    assert read_requirements(path).packages
    (tmp_path / "1.txt").write_text(f"{line}\nb\nc\nd\ne\n")
    with pytest.raises(InputError, match=r"1\.txt, line 4: at most 10 lines are read"):
        read_requirements(path)


def test_file_may_be_included_from_several(tmp_path: Path) -> None:
    path = include(
        tmp_path,
        {
            "0.txt": ["-r 1.txt", "-r 2.txt", "-c limits.txt"],
            "1.txt": ["-r base.txt", "-c limits.txt"],
            "2.txt": ["-r base.txt"],
            "base.txt": [f"a==1 {HASH}"],
            "limits.txt": ["a<2"],
        },
    )
    assert [one.name for one in read_requirements(path).locked()] == ["a"]


def test_two_files_that_include_each_other_are_refused(tmp_path: Path) -> None:
    path = include(tmp_path, {"0.txt": ["-r 1.txt", "-r 1.txt"], "1.txt": ["-r ./0.txt", "-r 0.txt"]})
    with pytest.raises(InputError, match=r"1\.txt, line 1: \./0\.txt includes itself"):
        read_requirements(path)


def test_bytes_of_included_files_are_counted_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "_LARGEST", 100)
    path = include(tmp_path, {"0.txt": ["-r 1.txt"] * 9, "1.txt": ["# 345678901234567890", "a"]})
    with pytest.raises(InputError, match=r"1\.txt has more than 100 bytes together with the other files"):
        read_requirements(path)


SECRETS = {
    "user": "https://hush@x.example/simple",
    "user and password": "https://me:hush@x.example/simple",
    "password only": "https://:hush@x.example/simple",
    "password with an at sign": "https://me:p@hush@x.example/simple",
    "password with a slash": "https://me:p/hush@x.example/simple",
    "password with a question mark": "https://me:p?hush@x.example/simple",
    "password with a hash": "https://me:p#hush@x.example/simple",
    "password with a semicolon": "https://me:p;hush@x.example/simple",
    "password after a port": "https://me:80hush@x.example:443/simple",
    "escaped": "https://me:%68hush@x.example/simple",
    "token": "https://x.example/simple?token=hush",
    "token behind a slash": "https://x.example/simple/?a=b&token=hush",
    "token without a path": "https://x.example?token=hush",
    "fragment": "https://x.example/simple#hush",
    "fragment behind a query": "https://x.example/simple?a#hush",
    "all of them": "https://me:hush@x.example/simple?token=hush#hush",
    "path": "https://x.example/hush/simple",
    "path of a customer": "https://x.example/basic/hush/org/python/simple/",
    "end of a path": "https://x.example:8443/simple/hush",
    "path with a user": "https://me:hush@x.example/hush/simple?hush",
    "path without a scheme": "//x.example/hush/simple",
    "other scheme": "HTTP://me:hush@x.example/simple?hush",
    "scheme with a plus": "git+ssh://me:hush@x.example/a.git?hush#hush",
    "folder": "file:///folder?token=hush",
    "no scheme": "me:hush@x.example/simple?token=hush#hush",
    "no scheme and two slashes": "//me:hush@x.example/simple?token=hush",
    "address of version 6": "https://me:hush@[::1]:8080/simple?hush",
}
OPTIONS = ["--index-url", "--extra-index-url", "-i", "-f", "--find-links", "--trusted-host", "--pypi-url"]
LINES = {
    "a line": "{option} {secret}\na\n",
    "an equals sign": "{long}={secret}\na\n",
    "joined": "{short}{secret}\na\n",
    "no space": "{long}{secret}\na\n",
    "twice": "{option} {secret} {secret}\na\n",
    "a space in it": "{option} {spaced}\na\n",
    "included": "-r {secret}\na\n",
    "a limit": "-c {secret}\na\n",
    "editable": "-e {secret}\na\n",
    "a package": "{secret}\na\n",
    "a package by name": "a @ {secret}\n",
    "a package with a marker": "a @ {secret} ; os_name == 'posix'\n",
    "a package with an option": "a==1 --index-url={secret}\n",
    "a package with an option after a space": "a==1 -i {secret}\n",
    "a marker": "a; {secret}\n",
    "another option": "--proxy {secret}\na\n",
    "the value of a switch": "--pre={secret}\na\n",
    "a broken line": "a = {secret}\n",
    "a hash": f"a==1 --hash={{secret}} {HASH}\n",
}


@pytest.mark.parametrize("secret", list(SECRETS))
@pytest.mark.parametrize("line", list(LINES))
def test_no_secret_of_an_address_is_said(line: str, secret: str) -> None:
    address = SECRETS[secret]
    if "://" not in address and not line.startswith(("a line", "an equals", "joined")):
        pytest.skip("not an address there")
    for option in OPTIONS:
        given = {
            "option": option,
            "long": {"-i": "--index-url", "-f": "--find-links"}.get(option, option),
            "short": {"--index-url": "-i", "--find-links": "-f"}.get(option, option[:2]),
            "secret": address,
            "spaced": address.replace("hush", "x hush"),
        }
        try:
            found = parse_requirements(LINES[line].format(**given), what="r.txt")
            said = "\n".join(found.index_lines())
            found.locked()
        except InputError as error:
            said = f"{error.message}\n{error.hint}"
        assert "hush" not in said, option


@pytest.mark.parametrize("secret", [name for name, address in SECRETS.items() if "//" in address])
@pytest.mark.parametrize(
    "around", ["{}", "`{}`", "'{}'", '"{}"', "({})", "<{}>", "Looking in indexes: {}, {}", "x {}: no"]
)
def test_no_secret_is_left_in_the_words_of_a_program(secret: str, around: str) -> None:
    assert "hush" not in without_credentials(around.replace("{}", SECRETS[secret]))


PLAIN = [
    "https://x.example/simple",
    "https://download.example/whl/cu124",
    "https://x.example:8080/artifactory/api/pypi/pypi-local/simple/",
    "https://x.example/packages/a-1-py3-none-any.whl",
    "git+https://x.example/group/project.git@v1",
    "http://[::1]:8080/simple",
    "connected to https://x.example:443, then to https://y.example:80.",
    "file:///folder/wheels",
    "me@x.example wrote a//b: c",
    "no address? none # at all",
    "C:\\wheels",
]


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_not_secret_is_shown(text: str) -> None:
    assert without_credentials(text) == text


@pytest.mark.parametrize("piece", ["//a:b", "a:/", "://", "//x@", "a", ":/?", "?#", "a://b/", "/:", "a//"])
def test_words_of_a_program_are_searched_in_little_time(piece: str) -> None:
    """A pattern that tried every beginning with every end would not end here."""
    without_credentials(piece * (16_384 // len(piece)))
    without_credentials("a" * 16_384 + piece)


@pytest.mark.parametrize("secret", ["user and password", "token", "fragment", "all of them", "password with a slash"])
def test_no_secret_reaches_what_uv_and_pip_are_quoted_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    said = f"error: no package in {SECRETS[secret]}\nLooking in indexes: {SECRETS[secret]}"
    (tmp_path / "r.txt").write_text("a\n")

    def fail(argv: list[str], **words: object) -> None:
        raise ProcessError(said)

    monkeypatch.setattr(lock, "run", fail)
    monkeypatch.setattr(lock, "_indexes", lambda read: [])
    with pytest.raises(InputError) as raised:
        lock_requirements(tmp_path / "r.txt")
    assert "hush" not in raised.value.message + raised.value.hint
    assert not (tmp_path / "r.lock").exists()
    found = diagnosis.of_download(said, [requirements.Requirement("a", "1", ("1" * 64,))], (), [], tmp_path)
    assert "hush" not in found.message + found.hint
