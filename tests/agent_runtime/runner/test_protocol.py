"""The runner accepts only well-formed requests."""

import json
from dataclasses import replace
from typing import Any

import pytest

from agent_runtime.runner.protocol import (
    Job,
    JobContainer,
    PackedDataset,
    PlacedFile,
    RequestError,
    RunnerOperation,
    ScratchJob,
    ScratchRequest,
    parse_request,
)
from agent_runtime.scratch.volume import Seal
from cloister.protocol import schema
from tests.protocol.test_names import TAKEN, TOGETHER

JOB = Job(
    kind="python",
    algorithm="train.py",
    wheels=True,
    files=(PlacedFile("helper-py", "helper.py"), PlacedFile("weights", "weights/hub/model.pth")),
    datasets=("h1.csv",),
    packed=(PackedDataset("h2", 1000),),
    args=("--epochs", "1"),
    environment={"TORCH_HOME": "datasets/weights"},
    seconds=60,
    memory=1 << 28,
    cpus=2,
    processes=64,
    results=1 << 20,
    output=4096,
)


def test_a_job_is_read_as_it_was_written() -> None:
    assert parse_request(JOB.encode()) == JOB


SCRATCH = ScratchJob(
    uploaded=1 << 30,
    seal=Seal("ab" * 32, 1024, 2000),
    unpacked=1 << 31,
    datasets=("h2",),
    wheels=True,
    image=True,
    written=1 << 24,
)


@pytest.mark.parametrize("scratch", [SCRATCH, replace(SCRATCH, seal=None, uploaded=0), None])
def test_a_job_with_a_scratch_disk_is_read_as_it_was_written(scratch: ScratchJob | None) -> None:
    assert parse_request(replace(JOB, scratch=scratch).encode()) == replace(JOB, scratch=scratch)


@pytest.mark.parametrize("operation", [RunnerOperation.OPEN_SCRATCH, RunnerOperation.MAKE_VOLUME])
def test_requests_about_the_scratch_disk_have_a_size(operation: RunnerOperation) -> None:
    request = ScratchRequest(operation, 1 << 30)
    assert parse_request(request.encode()) == request
    for value in ({}, {"size": 0}, {"size": "1"}, {"size": 1 << 60}, {"size": 1, "device": "/dev/vda"}):
        with pytest.raises(RequestError):
            parse_request(json.dumps({"operation": operation, **value}).encode())
    assert parse_request(b'{"operation": "close-scratch"}') is RunnerOperation.CLOSE_SCRATCH


@pytest.mark.parametrize(
    "change",
    [
        {"seal": {"root": "x" * 64, "blocks": 1, "tree": 1}},
        {"seal": "0 8 verity"},
        {"device": "/dev/vda"},
        {"uploaded": -1},
        {"unpacked": "1"},
        {"written": 1.5},
        {"datasets": ["../x"]},
        {"wheels": 1},
    ],
    ids=str,
)
def test_an_invalid_scratch_disk_is_refused(change: dict[str, Any]) -> None:
    value = json.loads(replace(JOB, scratch=SCRATCH).encode())
    value["scratch"] |= change
    with pytest.raises(RequestError):
        parse_request(json.dumps(value).encode())


IMAGE = {"digest": "ab" * 32, "size": 1 << 30}


def test_an_image_is_read_as_it_was_written() -> None:
    job = replace(JOB, kind="oci", wheels=False, container=JobContainer(**IMAGE))  # ty: ignore[invalid-argument-type]
    assert parse_request(job.encode()) == job


@pytest.mark.parametrize(
    "change",
    [
        {"container": None},
        {"container": "ab" * 32},
        {"container": {"digest": "ab" * 32}},
        {"container": {**IMAGE, "url": "x"}},
        {"container": {**IMAGE, "digest": "AB" * 32}},
        {"container": {**IMAGE, "digest": "../" * 21 + "x"}},
        {"container": {**IMAGE, "size": -1}},
        {"container": {**IMAGE, "size": "1"}},
        {"kind": "python"},
        {"kind": "docker"},
        {"kind": None},
        {"wheels": True},
    ],
    ids=str,
)
def test_an_invalid_image_is_refused(change: dict[str, Any]) -> None:
    job = replace(JOB, kind="oci", wheels=False, container=JobContainer(**IMAGE))  # ty: ignore[invalid-argument-type]
    with pytest.raises(RequestError):
        parse_request(json.dumps(json.loads(job.encode()) | change).encode())


def test_names_of_peoples_files_are_accepted() -> None:
    for name in TAKEN:
        job = replace(JOB, algorithm=name)
        assert parse_request(job.encode()) == job
    job = replace(JOB, datasets=TOGETHER)
    assert parse_request(job.encode()) == job


@pytest.mark.parametrize("operation", ["power-off", "reboot"])
def test_power_off_and_reboot_are_parsed(operation: str) -> None:
    assert parse_request(json.dumps({"operation": operation}).encode()) is RunnerOperation(operation)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"operation": "shell"}',
        b'{"operation": "reboot", "now": true}',
        b'{"operation": ["reboot"]}',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_malformed_request_is_refused(line: bytes) -> None:
    with pytest.raises(RequestError):
        parse_request(line)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "oci"},
        {"version": 2},
        {"config": {}},
        {"algorithm": "../agent.py"},
        {"algorithm": "a/b"},
        {"algorithm": ".."},
        {"algorithm": "a\u202eb"},
        {"algorithm": "a\udc80b"},
        {"algorithm": "x" * 256},
        {"algorithm": "datasets"},
        {"algorithm": "results"},
        {"algorithm": "train.py\n"},
        {"algorithm": None},
        {"wheels": 1},
        {"files": {}},
        {"files": ["helper.py"]},
        {"files": [{"name": "x"}]},
        {"files": [{"name": "x", "at": "x", "mode": 511}]},
        {"files": [{"name": "../algorithm", "at": "x"}]},
        {"files": [{"name": "a/b", "at": "x"}]},
        {"files": [{"name": "x", "at": 1}]},
        {"files": [{"name": "x", "at": "../x"}]},
        {"files": [{"name": "x", "at": "/etc/passwd"}]},
        {"files": [{"name": "x", "at": "a\0b"}]},
        {"files": [{"name": "x", "at": "train.py"}]},
        {"files": [{"name": "x", "at": "train.py/x"}]},
        {"files": [{"name": "x", "at": "datasets/x"}]},
        {"files": [{"name": "x", "at": "a"}, {"name": "x", "at": "b"}]},
        {"files": [{"name": "x", "at": "a"}, {"name": "y", "at": "a"}]},
        {"files": [{"name": "x", "at": "a"}, {"name": "y", "at": "a/b"}]},
        {"files": [{"name": f"x{index}", "at": f"x{index}"} for index in range(65)]},
        {"datasets": ["h1.csv", "h1.csv"]},
        {"datasets": ["h2"]},
        {"datasets": ["__init__.py"]},
        {"datasets": ["\u00fc", "u\u0308"]},
        {"datasets": ["../../etc"]},
        {"datasets": "h1.csv"},
        {"datasets": ["a"] * 257},
        {"packed": [{"name": "..", "size": 1}]},
        {"packed": [{"name": "h2", "size": -1}]},
        {"packed": [{"name": "h2"}]},
        {"args": ["a\0b"]},
        {"args": ["x" * 4097]},
        {"args": [1]},
        {"environment": {"A=B": "x"}},
        {"environment": {"A": "x\ny"}},
        {"environment": []},
        {"seconds": 0},
        {"seconds": True},
        {"seconds": 1.5},
        {"memory": "1"},
        {"memory": 2**53},
        {"processes": 0},
        {"output": 2**30},
    ],
    ids=str,
)
def test_job_with_an_invalid_value_is_refused(change: dict[str, Any]) -> None:
    value = json.loads(JOB.encode()) | change
    with pytest.raises(RequestError):
        parse_request(json.dumps(value).encode())


@pytest.mark.parametrize("name", [name for name in json.loads(JOB.encode()) if name != "operation"])
def test_job_with_a_missing_member_is_refused(name: str) -> None:
    value = json.loads(JOB.encode())
    del value[name]
    with pytest.raises(RequestError):
        parse_request(json.dumps(value).encode())


# A field of the job, and where the manifest's schema bounds it.
BOUNDED = {
    "seconds": ("limits", "time"),
    "memory": ("limits", "memory"),
    "cpus": ("limits", "cpus"),
    "processes": ("limits", "processes"),
    "results": ("results", "max"),
    "output": ("logs", "max"),
}


@pytest.mark.parametrize("name", BOUNDED)
def test_the_runner_takes_what_the_schema_of_manifests_allows(name: str) -> None:
    """A manifest that everyone agreed on does not fail when the run starts."""
    document = schema.load("manifest")
    section, member = BOUNDED[name]
    bounds = document["properties"][section]["properties"][member]
    bounds = document["$defs"]["size"] if "$ref" in bounds else bounds
    for value in (bounds["minimum"], bounds["maximum"]):
        job = replace(JOB, **{name: value})
        assert parse_request(job.encode()) == job
    for value in (bounds["minimum"] - 1, bounds["maximum"] + 1):
        with pytest.raises(RequestError):
            parse_request(replace(JOB, **{name: value}).encode())
