"""What an image says about its process becomes what docker and podman would start."""

import json
from dataclasses import replace

import pytest

from cloister.errors import InputError
from cloister.protocol.containers.documents import ImageConfig
from cloister.protocol.containers.process import PATH, ContainerProcess, resolve

PASSWD = b"root:x:0:0:root:/root:/bin/sh\n# a comment\nbroken\nwww:x:33:34:www:/var/www:/bin/false\n2000:x:7:8::/:\n"
GROUP = b"root:x:0:\nwww:x:34:\nvideo:x:44:www,other\naudio:x:45:www\n"
CONFIG = ImageConfig("linux", "amd64", (), ("/run",), ("--default",), {"A": "1"}, "", "/", ())


def process(said: str = "", args: tuple[str, ...] = (), environment: dict[str, str] | None = None, **more):
    config = replace(CONFIG, **({"user": said} | more))
    return resolve(config, args, environment or {}, passwd=PASSWD, group=GROUP)


@pytest.mark.parametrize(
    ("said", "user", "group", "groups", "home"),
    [
        ("", 0, 0, (), "/root"),
        ("root", 0, 0, (), "/root"),
        ("0:0", 0, 0, (), "/root"),
        ("www", 33, 34, (44, 45), "/var/www"),
        ("33", 33, 34, (44, 45), "/var/www"),
        ("33:0", 33, 0, (), "/var/www"),
        ("www:video", 33, 44, (), "/var/www"),
        ("1234", 1234, 0, (), "/"),
        ("1234:5678", 1234, 5678, (), "/"),
        ("1234:video", 1234, 44, (), "/"),
        ("2000", 7, 8, (), "/"),  # a name of digits comes before the number
        ("65535:65535", 65535, 65535, (), "/"),
    ],
)
def test_user_is_a_number_or_a_name(said, user, group, groups, home) -> None:
    found = process(said)

    assert (found.user, found.group, found.groups) == (user, group, groups)
    assert f"HOME={home}" in found.environment


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("nobody", "nobody is not in its /etc/passwd"),
        ("www:none", "none is not in its /etc/group"),
        ("65536", "beyond 65535"),
        ("0:99999", "beyond 65535"),
        ("4294967295", "beyond 65535"),
        ("-1", "is not in its /etc/passwd"),
        ("1\x1b[2J", "is not in its /etc/passwd"),
    ],
)
def test_user_that_the_sandbox_cannot_have_is_refused(said: str, why: str) -> None:
    with pytest.raises(InputError) as caught:
        process(said)

    assert why in caught.value.message
    assert caught.value.message.isprintable()


def test_image_without_users_runs_as_a_number() -> None:
    found = resolve(replace(CONFIG, user="5"), (), {}, passwd=None, group=None)

    assert (found.user, found.group) == (5, 0)


@pytest.mark.parametrize(
    ("entrypoint", "command", "args", "words"),
    [
        (("/run",), ("--default",), (), ("/run", "--default")),
        (("/run",), ("--default",), ("a", "b"), ("/run", "a", "b")),
        (("/run", "x"), (), ("a",), ("/run", "x", "a")),
        ((), ("sh", "-c", "true"), (), ("sh", "-c", "true")),
        ((), ("sh",), ("train", "1"), ("train", "1")),
    ],
)
def test_arguments_follow_the_entrypoint(entrypoint, command, args, words) -> None:
    assert process(args=args, entrypoint=entrypoint, command=command).args == words


@pytest.mark.parametrize(("entrypoint", "command"), [((), ()), ((), ("",)), (("",), ("a",))])
def test_image_that_starts_nothing_is_refused(entrypoint, command) -> None:
    with pytest.raises(InputError, match="neither ENTRYPOINT nor CMD"):
        process(entrypoint=entrypoint, command=command)


def test_environment_is_the_images_and_then_the_manifests() -> None:
    found = process(environment={"A": "2", "B": "x=y"})
    own = process(environment={"PATH": "/own", "HOME": "/home"})

    assert found.environment == (f"PATH={PATH}", "HOME=/root", "A=2", "B=x=y")
    assert own.environment == ("PATH=/own", "HOME=/home", "A=1")


def test_process_that_is_too_long_is_refused() -> None:
    with pytest.raises(InputError, match="too long"):
        process(args=tuple("x" * 4000 for _ in range(300)))


PROCESS = ContainerProcess(("/run",), ("A=1",), "/work", 33, 34, (44,))


def test_process_is_read_as_it_was_written() -> None:
    assert ContainerProcess.parse(PROCESS.encode()) == PROCESS


@pytest.mark.parametrize(
    "changes",
    [
        {"args": []},
        {"args": [""]},
        {"args": ["a\0b"]},
        {"args": "run"},
        {"args": None},
        {"environment": ["A"]},
        {"environment": ["=1"]},
        {"environment": {"A": "1"}},
        {"folder": "work"},
        {"folder": "/a/../b"},
        {"folder": None},
        {"user": -1},
        {"user": 65536},
        {"user": True},
        {"user": "0"},
        {"user": 1.0},
        {"group": None},
        {"groups": ["0"]},
        {"groups": list(range(65))},
        {"privileged": True},
    ],
)
def test_process_of_the_sandbox_is_read_strictly(changes: dict[str, object]) -> None:
    value = json.loads(PROCESS.encode()) | changes
    with pytest.raises(InputError):
        ContainerProcess.parse(json.dumps(value).encode())


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b"[" * 100_000, b" " * (1 << 20) + b"{}"])
def test_process_in_another_form_is_refused(data: bytes) -> None:
    with pytest.raises(InputError):
        ContainerProcess.parse(data)
