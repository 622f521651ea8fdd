"""The configurations of an image's sandboxes, and all configurations against the schema of the runtime specification.

crun drops a member of the wrong type without a word, so each is validated here. tests/client/trial/test_kinds.py shows
that crun enforces them.
"""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest

from agent_runtime.runner import oci_config
from agent_runtime.runner.kinds.image_config import container_config, read_process, unpacking_config
from agent_runtime.runner.oci_config import PACKER_MEMORY, SandboxHost, needed_memory
from agent_runtime.runner.packing_config import packing_config
from agent_runtime.runner.protocol import JobContainer, ScratchJob
from cloister.protocol.containers.process import ContainerProcess
from image.inputs import host_tools
from tests.agent_runtime.runner.test_oci_config import PATHS
from tests.agent_runtime.runner.test_protocol import JOB

SCHEMA = "usr/share/gocode/src/github.com/opencontainers/runtime-spec/schema/config-schema.json"
OCI = replace(JOB, kind="oci", wheels=False, container=JobContainer("ab" * 32, 1 << 20))
ON_DISK = replace(
    OCI, scratch=ScratchJob(uploaded=0, seal=None, unpacked=1 << 30, datasets=(), wheels=False, image=True, written=0)
)
PROCESS = ContainerProcess(("/run", "x"), ("A=1", "PATH=/bin"), "/app", 33, 34, (44, 45))
NARROW = SandboxHost(inside=1000, outside=0, count=1, cgroup=False, rlimits={"RLIMIT_NPROC": 9})

Validate = Callable[[Any], Any]


@pytest.fixture(scope="module")
def validate() -> Validate:
    """Validates a configuration against the specification's schema."""
    path = host_tools.ensure(relock=True).path(SCHEMA)
    schema = {**json.loads(path.read_bytes()), "id": path.as_uri()}
    compiled: Validate = fastjsonschema.compile(
        schema, handlers={"file": lambda uri: json.loads(Path(uri.removeprefix("file://")).read_bytes())}
    )
    return compiled


MADE = {
    **{kind: oci_config.config(replace(JOB, kind=kind, wheels=False), PATHS) for kind in ("python", "binary", "wasm")},
    "python with wheels": oci_config.config(JOB, PATHS),
    "a trial without root": oci_config.config(JOB, PATHS, NARROW),
    "packing": packing_config(JOB, PATHS),
    "unpacking": unpacking_config(OCI, PATHS),
    "unpacking without root": unpacking_config(OCI, PATHS, NARROW),
    "packing an image": packing_config(ON_DISK, PATHS),
    "unpacking beside an image on the disk": unpacking_config(ON_DISK, PATHS, process=PROCESS),
    "image": container_config(OCI, PATHS, PROCESS),
    "image without root": container_config(OCI, PATHS, PROCESS, NARROW),
}


@pytest.mark.parametrize("name", list(MADE))
def test_configurations_follow_the_schema_of_the_specification(validate: Validate, name: str) -> None:
    validate(json.loads(json.dumps(MADE[name])))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("linux", "resources", "memory", "limit"), "1"),
        (("linux", "resources", "pids", "limit"), "64"),
        (("linux", "seccomp", "syscalls"), {}),
        (("linux", "uidMappings", 0, "size"), "65536"),
        (("process", "noNewPrivileges"), "true"),
        (("process", "user", "uid"), "1000"),
        (("process", "capabilities", "bounding"), "CAP_CHOWN"),
        (("process", "args"), "/run"),
        (("root", "readonly"), 1),
        (("mounts", 0, "options"), "ro"),
    ],
)
def test_the_schema_finds_members_that_crun_would_drop(
    validate: Validate, path: tuple[Any, ...], value: object
) -> None:
    made = json.loads(json.dumps(MADE["image"]))
    place = made
    for step in path[:-1]:
        place = place[step]
    assert path[-1] in place or isinstance(place, list)
    place[path[-1]] = value
    with pytest.raises(fastjsonschema.JsonSchemaException):
        validate(made)


def test_image_runs_with_its_own_process_and_files() -> None:
    process = MADE["image"]["process"]

    assert (process["args"], process["cwd"]) == (["/run", "x"], "/app")
    assert process["env"] == ["A=1", "PATH=/bin"]
    assert process["user"] == {"uid": 33, "gid": 34, "umask": 0o022, "additionalGids": [44, 45]}
    assert MADE["image"]["root"] == {"path": "/b/image/root", "readonly": True}
    assert MADE["image without root"]["process"]["user"] == {"uid": 1000, "gid": 1000, "umask": 0o022}


def test_image_has_no_more_rights_than_a_program() -> None:
    image, program = MADE["image"], MADE["binary"]
    for part in ("noNewPrivileges", "capabilities", "rlimits", "oomScoreAdj", "terminal"):
        assert image["process"][part] == program["process"][part]
    assert {name: value for name, value in image["linux"].items() if name != "resources"} == {
        name: value for name, value in program["linux"].items() if name != "resources"
    }


def test_image_writes_to_results_datasets_and_memory_only() -> None:
    mounts = MADE["image"]["mounts"]
    assert all("nosuid" in one["options"] for one in mounts)
    writable = {one["destination"] for one in mounts if one["type"] == "bind" and "ro" not in one["options"]}
    assert writable == {"/work/datasets", "/work/results"}
    for one in mounts:
        if one["type"] == "tmpfs":
            assert any(option.startswith("size=") for option in one["options"])
            assert any(option.startswith("nr_inodes=") for option in one["options"])
    assert "/run/image" not in {one["destination"] for one in mounts}


def test_unpacking_sees_the_image_and_nothing_that_the_algorithm_sees_or_writes() -> None:
    made = MADE["unpacking"]
    places = {one["destination"]: one["options"] for one in made["mounts"] if one["type"] == "bind"}
    assert set(places) == {"/run/image.tar", "/run/image", "/run/datasets", "/run/launched", "/run/packed/h2"}
    assert "ro" in places["/run/image.tar"]
    assert {"rw", "noexec"} <= set(places["/run/image"])
    assert made["process"]["user"]["uid"] == 0
    rights = made["process"]["capabilities"]
    assert rights["bounding"] == rights["effective"] == rights["permitted"] == [
        "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER"
    ]  # fmt: skip
    assert rights["ambient"] == rights["inheritable"] == []
    assert MADE["unpacking without root"]["process"]["capabilities"]["bounding"] == []


def test_image_that_is_on_the_scratch_disk_is_only_read() -> None:
    """It is unpacked by the packer; datasets in memory are unpacked for its user."""
    packing, beside = MADE["packing an image"], MADE["unpacking beside an image on the disk"]
    places = {one["destination"]: one["options"] for one in packing["mounts"] if one["type"] == "bind"}
    assert set(places) == {"/run/image.tar", "/run/packed/h2"}
    assert all("ro" in options for options in places.values())
    said = json.loads(packing["process"]["args"][4])
    assert (said["image"]["digest"], said["image"]["root"], said["first"]) == ("ab" * 32, "root", 100_000)
    assert packing["process"]["user"]["uid"] == 1000

    places = {one["destination"] for one in beside["mounts"] if one["type"] == "bind"}
    assert places == {"/run/datasets", "/run/launched", "/run/packed/h2"}
    said = json.loads(beside["process"]["args"][4])
    assert (said["image"], said["user"]) == (None, [33, 34])


def test_image_that_is_on_the_scratch_disk_takes_no_memory() -> None:
    large = JobContainer("ab" * 32, 8 << 30)
    here, there = (needed_memory(replace(job, container=large)) for job in (OCI, ON_DISK))

    assert here > 8 << 30
    assert there < 2 << 30
    assert oci_config.uncharged(ON_DISK) < oci_config.uncharged(OCI)


@pytest.mark.parametrize("memory", [1, 1 << 34])
def test_memory_of_both_sandboxes_is_what_the_machine_keeps_free(memory: int) -> None:
    job = replace(OCI, memory=memory)
    unpacking = unpacking_config(job, PATHS)["linux"]["resources"]["memory"]["limit"]
    running = container_config(job, PATHS, PROCESS)["linux"]["resources"]["memory"]["limit"]
    unpacked = (1 << 20) + oci_config.IMAGE_SLACK + 1000

    assert unpacking == max(memory, PACKER_MEMORY) + unpacked
    assert running == memory + job.results + oci_config.RESULT_SLACK
    # What was unpacked stays in memory while the image runs.
    assert needed_memory(job) >= max(unpacking, running + unpacked)


def test_no_kind_has_a_limit_on_addresses() -> None:
    """wasmtime reserves more than 4 GiB of addresses for each memory: memory is limited by the cgroup."""
    assert "RLIMIT_AS" not in json.dumps(list(MADE.values()))


def test_modules_get_the_manifests_environment_apart_from_their_hosts() -> None:
    made = oci_config.config(replace(JOB, kind="wasm", wheels=False, environment={"LD_PRELOAD": "/x"}), PATHS)

    assert [one for one in made["process"]["env"] if "LD_PRELOAD" in one] == []
    assert json.loads(made["process"]["args"][4])["module"] == {
        "module": "/work/train.py",
        "args": ["train.py", "--epochs", "1"],
        "environment": {"LD_PRELOAD": "/x"},
        "folders": {".": ["/work", False], "datasets": ["/work/datasets", True], "results": ["/work/results", True]},
    }


def test_process_that_the_sandbox_wrote_is_read(tmp_path: Path) -> None:
    (tmp_path / "process.json").write_bytes(PROCESS.encode())

    assert read_process(tmp_path) == PROCESS


@pytest.mark.parametrize("form", ["missing", "link", "pipe", "folder", "large", "other", "root is a link"])
def test_process_in_any_other_form_is_refused(tmp_path: Path, form: str) -> None:
    path = tmp_path / "process.json"
    (tmp_path / "secret").write_bytes(PROCESS.encode())
    make: dict[str, Callable[[], object]] = {
        "missing": lambda: None,
        "link": lambda: path.symlink_to("secret"),
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "large": lambda: path.write_bytes(PROCESS.encode() + b" " * (1 << 20)),
        "other": lambda: path.write_text("{}"),
        "root is a link": lambda: (path.write_bytes(PROCESS.encode()), (tmp_path / "root").symlink_to("/")),
    }
    make[form]()
    with pytest.raises(OSError, match=r"."):
        read_process(tmp_path)
