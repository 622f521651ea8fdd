"""Submission of the one manifest of a boot."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.computation import capacity
from agent_runtime.computation.capacity import RequiredCapacity
from agent_runtime.computation.job_from_manifest import build_job
from agent_runtime.errors import CallRefusal
from agent_runtime.runner.oci_config import memory_limit, uncharged
from cloister.client.connection.refusal import Refusal
from cloister.protocol import canonical
from tests.agent_fixture import running_agent
from tests.agent_runtime.world import DATA, TRAIN, World, new_key, refused


def test_only_an_owner_submits(world: World) -> None:
    world.submit()
    with world.session("lab") as session, refused("NOT_AUTHORIZED"):
        session.submit_manifest(world.known().encode())


def test_a_second_manifest_is_refused(world: World) -> None:
    first = world.submit()
    second = world.compose(name="other")
    with world.session("owner") as session, refused("ALREADY_SUBMITTED", manifest=first.hex()):
        session.submit_manifest(second.encode())


def test_the_manifest_is_measured(world: World) -> None:
    digest = world.submit()
    with world.session("owner") as session:
        assert session.status().manifest_digest == digest
        assert session.manifest_digest == digest


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b'{"version": 1}', b"[" * 100_000])
def test_invalid_manifest_is_refused_and_not_measured(world: World, data: bytes) -> None:
    with world.session("owner") as session:
        with refused("MANIFEST_INVALID"):
            session.submit_manifest(data)
        assert session.status().state == "Idle"
    assert len(world.running.agent.computation._context.attester._log) == 2


@pytest.mark.parametrize(
    ("kind", "container"),
    [
        ("fortran", None),
        ("oci", None),
        ("python", {"digest": "ab" * 32, "unpacked_size": 1}),
        ("oci", {"digest": "ab" * 32}),
        ("oci", {"digest": "ab" * 31, "unpacked_size": 1}),
    ],
)
def test_image_is_named_if_and_only_if_the_algorithm_is_one(
    world: World, kind: str, container: dict[str, object] | None
) -> None:
    more = {} if container is None else {"algorithm__container": container}
    submit_refused(world, algorithm__kind=kind, **more)


@pytest.mark.parametrize("kind", ["python", "binary", "wasm", "oci"])
def test_every_kind_is_accepted(world: World, kind: str) -> None:
    more = {"algorithm__container": {"digest": "ab" * 32, "unpacked_size": 1 << 20}} if kind == "oci" else {}
    world.submit(algorithm__kind=kind, **more)


def test_image_that_does_not_fit_is_refused(world: World) -> None:
    with refused("TOO_LARGE"):
        world.submit(algorithm__kind="oci", algorithm__container={"digest": "ab" * 32, "unpacked_size": 1 << 50})


def test_too_long_arguments_are_refused(world: World) -> None:
    with refused("MANIFEST_INVALID"):
        world.submit(algorithm__args=["x" * 4096] * 32)
    world.submit(algorithm__args=["x" * 4096] * 31)


@pytest.mark.parametrize(
    ("counted", "said"),
    [
        ({"torch": "2.7.0"}, r"torch 2\.7\.0 \(there: 2\.6\.0\)"),
        ({"torch": "2.6.0", "pandas": "2.2.3"}, r"not have: pandas 2\.2\.3 \(not there\)\."),
        ({"torch": "2.6"}, r"torch 2\.6 "),
    ],
)
def test_manifest_that_counts_on_another_image_is_refused(world: World, counted: dict[str, str], said: str) -> None:
    with pytest.raises(Refusal, match=said) as caught:
        world.submit(algorithm__image_packages=counted)
    assert (caught.value.reason, caught.value.exit_code) == ("IMAGE_PACKAGES", 2)
    world.submit(algorithm__image_packages={"torch": "2.6.0"})


@pytest.mark.parametrize("file", ["datasets", "results"])
def test_algorithm_cannot_have_the_name_of_a_folder(world: World, file: str) -> None:
    submit_refused(world, algorithm__file=file)


def submit_refused(world: World, **changes: Any) -> None:
    """The owner submits a manifest that its own client would not accept, and the agent does not either."""
    with world.session("owner") as session, refused("MANIFEST_INVALID"):
        session.submit_manifest(canonical.encode(world.value(**changes)))


def placed(*places: str, **changes: Any) -> list[dict[str, Any]]:
    """``algorithm.files`` with these paths."""
    return [
        {"name": f"file-{index}", "at": at, "file": "f", "digest": "00" * 32, "size": 1} | changes
        for index, at in enumerate(places)
    ]


@pytest.mark.parametrize(
    "places",
    [
        ["train.py"],
        ["train.py/x"],
        ["datasets"],
        ["datasets/h1.csv"],
        ["results"],
        ["results/model.json"],
        ["a", "a"],
        ["a", "a/b"],
        ["a/b", "a"],
        ["a/b/c", "a/b"],
        ["."],
        [".."],
        ["../x"],
        ["a/../b"],
        ["./a"],
        ["a//b"],
        ["a/"],
        ["/etc/passwd"],
        ["/work/a"],
        ["a\\..\\b"],
        ["a\u202eb"],
        ["a\nb"],
        ["x" * 256],
        ["/".join("x" * 65)],
        [f"x{index}" for index in range(65)],
    ],
    ids=str,
)
def test_place_of_a_file_that_leads_elsewhere_or_is_taken_is_refused(world: World, places: list[str]) -> None:
    submit_refused(world, algorithm__files=placed(*places))


@pytest.mark.parametrize("name", ["algorithm", "bundle", "h1", "file-1", "../algorithm", "A"])
def test_name_of_a_file_is_its_own(world: World, name: str) -> None:
    files = placed("a", "b")
    files[0]["name"] = name
    submit_refused(world, algorithm__files=files)


def test_files_may_lie_side_by_side_in_folders(world: World) -> None:
    world.submit(
        algorithm__files=placed(
            "a/b/x", "a/b/y", "a/c", ".cache/w", "datasets.py", "train.py.txt", "Train.py", "\u00e4 (1)"
        )
    )


@pytest.mark.parametrize(
    "change",
    [
        {"algorithm__files": placed("a", size=1 << 40)},
        {"limits__memory": 1 << 40},
        {"results__max": 1 << 40},
        {"algorithm__size": 1 << 50},
        {
            "datasets": [
                {
                    "name": "h1",
                    "provider": "hospital",
                    "file": "h1.zip",
                    "unpack": True,
                    "unpacked_size": 1 << 40,
                    "size": 1,
                    "digest": "00" * 32,
                }
            ]
        },
        {"limits__scratch": 1 << 30},
    ],
    ids=["files", "memory", "results", "assets", "unpacked", "scratch"],
)
def test_manifest_that_exceeds_capacity_is_refused_with_sizes(world: World, change: dict[str, Any]) -> None:
    with refused("TOO_LARGE"):
        world.submit(**change)
    with world.session("owner") as session:
        assert session.status().state == "Idle"


def test_algorithm_cannot_take_all_processes_of_the_machine(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel has one limit for all: without threads the agent could answer no one."""
    for name, number in (("threads-max", 4000), ("pid_max", 32_768)):
        (tmp_path / name).write_text(f"{number}\n")
    monkeypatch.setattr(capacity, "free_processes", partial(capacity.free_processes, tmp_path))
    with refused("TOO_LARGE", processes_needed="2000", processes_free="1952"):
        world.submit(limits__processes=2000)
    world.submit(limits__processes=1952)


def test_reserved_memory_is_not_available_to_manifests(tmp_path: Path) -> None:
    owner = new_key()
    keys = {"owner": owner, **{name: new_key() for name in ("lab", "hospital", "reader")}}
    with running_agent(tmp_path, (owner.id,), free_memory=lambda: 512 << 20) as running:
        world = World(running, keys, {"algorithm": TRAIN, "h1": DATA})
        with refused("TOO_LARGE", memory_free=str(256 << 20)):
            world.submit(limits__memory=250 << 20)
        world.submit(limits__memory=128 << 20)


def test_targets_of_links_are_reserved_beyond_the_memory_limit(world: World) -> None:
    manifest = world.compose(limits__memory=128 << 20)
    job = build_job(manifest)
    needed = RequiredCapacity.of(manifest, scratch=False)
    assert needed.run == memory_limit(job) + uncharged(job) + manifest.logs.max_size
    assert uncharged(job) > 16 << 20
    needed.check(store=needed.store, memory=needed.store + needed.run, scratch=0, processes=64)
    with pytest.raises(CallRefusal, match="for the run"):
        needed.check(store=needed.store, memory=needed.store + needed.run - 1, scratch=0, processes=64)
