"""The resource Cvm, over gRPC: a stand-in for QEMU, the real software TPM beside it."""

import errno
import os
import shutil
import signal
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from cloister.endpoint import Address, probe
from cloister.process import ProcessError
from cloister.protocol.bootconfig import BootConfiguration
from cloister.protocol.imagemanifest import ImageManifest
from image.inputs import host_tools
from image.secureboot import varstore
from image.secureboot.keys import Certificates
from infra.processes import Process
from infra.provider.errors import ProviderError
from infra.provider.qemu import accelerator, boot, machine, ports, powerbutton
from infra.provider.qemu.accelerator import Accelerator
from infra.resources.placeholders import COMPUTED
from infra.resources.types import LOCAL_AUTHORITY, LOCAL_CVM
from tests.image.secureboot.test_enrolment import EFITOOLS
from tests.signed_images import statement

Engine = Any


def with_scratch(inputs: dict[str, Any], size: int) -> dict[str, Any]:
    """The same CVM with a scratch disk."""
    boot = BootConfiguration.parse(inputs["bootConfiguration"].encode())
    return inputs | {"scratch": size, "bootConfiguration": replace(boot, scratch=size).encode().decode()}


def refusal(engine: Engine, inputs: dict[str, Any]) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        engine.create(LOCAL_CVM, inputs)
    return caught.value


def test_a_cvm_answers_until_it_is_deleted_and_leaves_nothing(engine: Engine):
    inputs = engine.inputs()
    state = engine.create(LOCAL_CVM, inputs)
    assert state == inputs | {
        "endpoint": f"127.0.0.1:{inputs['port']}",
        "status": "running",
        "accelerator": "tcg",
        "process": state["process"],
    }
    probe(Address.parse(state["endpoint"]))
    assert engine.read(LOCAL_CVM, state) == state
    assert engine.diff(inputs, state, inputs).changes == engine.diff(inputs, state, inputs).DIFF_NONE

    engine.delete(LOCAL_CVM, state)
    assert not (engine.state / "lab" / "trainer").exists()
    assert ports.is_free(inputs["port"])
    assert engine.read(LOCAL_CVM, state) is None


@pytest.mark.parametrize("behaviour", ["ready", "deaf"])
def test_power_button_is_pressed_before_a_cvm_is_killed(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, behaviour: str
):
    """A guest that has none, or does not end, is killed when its time is over."""
    monkeypatch.setenv("STANDIN", behaviour)
    monkeypatch.setattr(powerbutton, "SECONDS", 0.1 if behaviour == "deaf" else 60.0)
    state = engine.create(LOCAL_CVM, engine.inputs())
    qemu = Process(int(state["process"]["pid"]), int(state["process"]["started"]))
    before: list[bool] = []
    end = Process.end

    def note(process: Process) -> None:
        if process == qemu:
            before.append(process.alive())
        end(process)

    monkeypatch.setattr(Process, "end", note)
    engine.delete(LOCAL_CVM, state)
    assert before[0] is (behaviour == "deaf")
    assert not qemu.alive()


def test_a_scratch_disk_is_a_sparse_file_of_its_size(engine: Engine):
    inputs = with_scratch(engine.inputs(), 8 << 30)
    state = engine.create(LOCAL_CVM, inputs)
    found = (engine.state / "lab" / "trainer" / machine.SCRATCH).stat()
    assert (found.st_size, found.st_blocks) == (8 << 30, 0)
    assert list(engine.diff(inputs, state, with_scratch(inputs, 16 << 30)).replaces) == ["bootConfiguration", "scratch"]
    engine.delete(LOCAL_CVM, state)


def test_scratch_disk_must_be_that_of_the_boot_configuration(engine: Engine):
    _, failures = engine.check({}, engine.inputs() | {"scratch": 8 << 30})
    assert failures == {"scratch": "the boot configuration has 0 bytes."}


def test_only_a_machine_with_a_scratch_disk_has_a_second_one():
    for size, disks in ((0, ["disk"]), (1 << 30, ["disk", "scratch"])):
        hardware = machine.Hardware("lab/trainer", 2, 1 << 30, 7000, console=False, scratch=size)
        words = machine.argv(host_tools.ensure(), hardware, Accelerator("tcg", ""))
        found = [word.split(",")[1].removeprefix("drive=") for word in words if word.startswith("virtio-blk-pci,")]
        assert found == disks


@pytest.mark.parametrize("secure", [False, True])
def test_only_the_machine_of_a_signed_image_has_its_keys_and_a_firmware_that_checks(tmp_path: Path, secure: bool):
    tools, keys = host_tools.ensure(), Certificates.load(EFITOOLS)
    (tmp_path / "disk").write_bytes(b"disk")
    folder = tmp_path / "state" / "lab" / "trainer"
    machine.prepare(folder, tools, tmp_path / "disk", b"{}", keys=keys if secure else None)
    hardware = machine.Hardware("lab/trainer", 2, 1 << 30, 7000, console=False, secure_boot=secure)
    words = " ".join(machine.argv(tools, hardware, Accelerator("tcg", "")))

    names = [one.name for one in varstore.variables((folder / machine.VARIABLES).read_bytes())]
    assert [name in names for name in ("PK", "KEK", "db")] == [secure] * 3
    assert stat.S_IMODE((folder / machine.VARIABLES).stat().st_mode) == 0o600
    # Without both of these a guest could write keys into the flash.
    found = ["smm=on" in words, "cfi.pflash01,property=secure,value=on" in words, "OVMF_CODE_4M.secboot.fd" in words]
    assert found == [secure] * 3


def test_cvm_of_a_signed_image_starts_with_the_keys_of_its_statement(engine: Engine):
    """And is replaced by one of the same image, signed with other keys."""
    manifest = ImageManifest.parse(engine.image.read_bytes())
    signed = statement(manifest, manifest.outputs)
    (engine.image.parent / "signed.json").write_bytes(signed.encode())
    inputs = engine.inputs(imageDigest=signed.digest().hex())
    state = engine.create(LOCAL_CVM, inputs)

    store = (engine.state / "lab" / "trainer" / machine.VARIABLES).read_bytes()
    found = {one.name: one.contents for one in varstore.variables(store)}
    assert all(found[name].endswith(der) for name, der in signed.certificates.items())
    again = inputs | {"imageDigest": "22" * 32}
    assert list(engine.diff(inputs, state, again).replaces) == ["imageDigest"]
    engine.delete(LOCAL_CVM, state)


def test_folder_is_private(engine: Engine):
    state = engine.create(LOCAL_CVM, engine.inputs())
    for folder in (engine.state, engine.state / "lab", engine.state / "lab" / "trainer"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    engine.delete(LOCAL_CVM, state)


def test_a_cvm_whose_tpm_was_killed_is_found_stopped_and_replaced(engine: Engine):
    inputs = engine.inputs()
    state = engine.create(LOCAL_CVM, inputs)
    (tpm,) = machine.running(engine.state / "lab" / "trainer", machine.TPM)
    tpm.end()

    read = engine.read(LOCAL_CVM, state)

    assert read == state | {"status": "stopped"}
    assert list(engine.diff(inputs, read, inputs).replaces) == ["status"]
    engine.delete(LOCAL_CVM, read)


def test_a_cvm_that_was_killed_is_found_stopped_and_replaced(engine: Engine):
    inputs = engine.inputs()
    state = engine.create(LOCAL_CVM, inputs)
    process = os.pidfd_open(state["process"]["pid"])
    os.kill(state["process"]["pid"], signal.SIGKILL)
    signal.pidfd_send_signal(process, 0)
    os.waitid(os.P_PIDFD, process, os.WEXITED | os.WNOWAIT)
    os.close(process)

    read = engine.read(LOCAL_CVM, state)
    assert read == state | {"status": "stopped"}
    found = engine.diff(inputs, read, inputs)
    assert list(found.replaces) == ["status"]
    assert found.deleteBeforeReplace

    engine.delete(LOCAL_CVM, read)
    again = engine.create(LOCAL_CVM, engine.check(inputs, {key: inputs[key] for key in inputs if key != "port"})[0])
    assert again["endpoint"] == state["endpoint"]
    engine.delete(LOCAL_CVM, again)


@pytest.mark.parametrize(
    ("behaviour", "sentence"),
    [
        ("failed", "The CVM 'trainer' did not start. The guest reported: The boot configuration has no owners."),
        ("ends", "its virtual machine ended before it was ready. Its last milestone was 'root'."),
        ("restarts", "it restarted 2 times before it was ready."),
    ],
)
def test_failed_boot_reports_why_and_leaves_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, behaviour: str, sentence: str
):
    monkeypatch.setenv("STANDIN", behaviour)
    assert sentence in refusal(engine, engine.inputs()).details()
    assert not (engine.state / "lab" / "trainer").exists()


def test_end_of_qemus_log_is_reported(engine: Engine, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STANDIN", "ends")
    assert "qemu.log: the stand-in's last words" in refusal(engine, engine.inputs()).details()


def test_silent_machine_is_started_a_second_time(engine: Engine, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(boot, "SILENCE_SECONDS", 3.0)
    monkeypatch.setenv("STANDIN", "mute-once")
    state = engine.create(LOCAL_CVM, engine.inputs())
    probe(Address.parse(state["endpoint"]))
    engine.delete(LOCAL_CVM, state)

    monkeypatch.setenv("STANDIN", "mute")
    said = refusal(engine, engine.inputs()).details()
    assert said.startswith("The CVM 'trainer' did not start: it reported nothing for 3 s. It reported nothing.")


def test_cancel_stops_the_boot_and_leaves_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STANDIN", "silent")
    call = engine.start(LOCAL_CVM, engine.inputs())
    engine.provider.cancelled.set()
    assert call.code() == grpc.StatusCode.CANCELLED
    assert call.details() == "Starting the CVM 'trainer' was cancelled."
    assert not (engine.state / "lab" / "trainer").exists()


def test_next_create_removes_what_a_killed_provider_left(engine: Engine, monkeypatch: pytest.MonkeyPatch):
    inputs = engine.inputs()
    folder = engine.state / "lab" / "trainer"
    tools = host_tools.ensure()
    hardware = machine.Hardware("lab/trainer", 2, 1 << 30, inputs["port"], console=False)
    machine.prepare(folder, tools, engine.image.parent / "disk.raw", b"{}")
    (folder / "tpm").mkdir()
    left = machine.boot(folder, tools, hardware, Accelerator("tcg", ""))

    state = engine.create(LOCAL_CVM, inputs)
    assert Process.of(left.pid) is None
    assert [process.pid for process in machine.running(folder)] == [state["process"]["pid"]]
    engine.delete(LOCAL_CVM, state)


def test_a_disk_with_a_flipped_bit_is_not_started(engine: Engine):
    inputs = engine.inputs()
    disk = engine.image.parent / "disk.raw"
    data = bytearray(disk.read_bytes())
    data[100] ^= 1
    disk.write_bytes(data)
    assert "disk.raw: SHA-256 differs" in refusal(engine, inputs).details()
    assert not (engine.state / "lab" / "trainer").exists()


def test_full_disk_is_reported_and_no_machine_is_left(engine: Engine, monkeypatch: pytest.MonkeyPatch):
    inputs = engine.inputs()
    copy = shutil.copyfile

    def other_file_system(source: str, to: str) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", other_file_system)
    monkeypatch.setattr(shutil, "copyfile", lambda source, to: copy(source, "/dev/full"))
    error = refusal(engine, inputs)
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert error.details() == (
        f"{engine.state} cannot be written: No space left on device. Free some space there and try again."
    )
    assert not (engine.state / "lab" / "trainer").exists()


def test_image_rebuilt_during_the_update_is_not_started(engine: Engine):
    inputs = engine.inputs() | {"imageDigest": "11" * 32}
    assert "changed during the update" in refusal(engine, inputs).details()


def test_port_in_use_is_reported(engine: Engine):
    import socket

    inputs = engine.inputs()
    with socket.create_server(("127.0.0.1", inputs["port"])):
        assert refusal(engine, inputs).details().startswith(f"Port {inputs['port']} on 127.0.0.1 is in use")


def test_a_preview_starts_nothing(engine: Engine):
    from pulumi.runtime.proto import provider_pb2

    from infra.provider.values import from_struct, to_struct

    inputs = engine.inputs() | {"authority": COMPUTED}
    urn = f"urn:pulumi:lab::cloister::{LOCAL_CVM}::trainer"
    request = provider_pb2.CreateRequest(urn=urn, properties=to_struct(inputs), preview=True)
    assert from_struct(engine.stub.Create(request).properties) == inputs
    assert not (engine.state / "lab" / "trainer").exists()


def test_changed_inputs_replace_the_cvm(engine: Engine):
    inputs = engine.inputs()
    state = engine.create(LOCAL_CVM, inputs)
    for name in ("imageDigest", "bootConfiguration", "authority", "vcpus", "memory", "port"):
        changed = inputs | {name: COMPUTED if isinstance(inputs[name], str) else inputs[name] + 1}
        found = engine.diff(inputs, state, changed)
        assert list(found.replaces) == [name]
        assert list(found.detailedDiff) == [name]
    engine.delete(LOCAL_CVM, state)


def test_a_machine_that_is_replaced_keeps_its_port(engine: Engine):
    asked = {name: value for name, value in engine.inputs().items() if name != "port"}
    inputs = asked | {"port": ports.free()}
    state = engine.create(LOCAL_CVM, inputs)
    # The engine checks the inputs of a replacement without the old ones.
    assert engine.check({}, asked)[0]["port"] == inputs["port"]
    engine.delete(LOCAL_CVM, state)
    assert engine.check(inputs, asked)[0]["port"] == inputs["port"]
    assert engine.check({}, asked)[0]["port"] == engine.check({}, asked)[0]["port"]


def test_other_name_for_the_same_image_replaces_nothing(engine: Engine):
    inputs = engine.inputs()
    state = engine.create(LOCAL_CVM, inputs)
    found = engine.diff(inputs, state, inputs | {"image": "elsewhere.json"})
    assert list(found.replaces) == []
    assert list(found.diffs) == ["image"]
    engine.delete(LOCAL_CVM, state)


def test_a_cvm_with_an_unfinished_run_is_not_replaced_unless_forced(engine: Engine, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STANDIN", "unfinished")
    inputs = engine.inputs()
    state = engine.create(LOCAL_CVM, inputs)
    with pytest.raises(grpc.RpcError) as caught:
        engine.diff(inputs, state, inputs | {"vcpus": 1})
    assert caught.value.details().startswith(
        "The CVM 'trainer' would be replaced (because of vcpus), but its run is unfinished."
    )
    assert list(engine.diff(inputs, state, inputs | {"vcpus": 1, "force": True}).replaces) == ["vcpus"]
    engine.delete(LOCAL_CVM, state)


def test_cvm_that_does_not_answer_is_not_replaced_unless_forced(engine: Engine):
    inputs = engine.inputs()
    created = engine.create(LOCAL_CVM, inputs)
    state = created | {"endpoint": f"127.0.0.1:{ports.free()}"}
    with pytest.raises(grpc.RpcError) as caught:
        engine.diff(inputs, state, inputs | {"memory": 2 << 30})
    assert "but its agent cannot be asked whether a run is unfinished" in caught.value.details()
    forced = inputs | {"memory": 2 << 30, "force": True}
    assert list(engine.diff(inputs, state, forced).replaces) == ["memory"]
    engine.delete(LOCAL_CVM, created)


def test_check_reports_every_invalid_property(engine: Engine):
    news = engine.inputs() | {"name": "Trainer", "imageDigest": "base", "colour": "red"}
    del news["memory"]
    assert engine.check({}, news)[1] == {
        "colour": "unknown input.",
        "memory": "is missing.",
        "name": "invalid name 'Trainer'.",
        "imageDigest": "must be a SHA-256 in hexadecimal digits.",
        "bootConfiguration": "belongs to lab/trainer.",
    }


def test_authoritys_private_key_is_in_no_output(engine: Engine):
    state = engine.authority()
    key = engine.state / "lab" / "authority" / "key.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert set(state) == {"workspace", "stack", "certificate", "keyDigest"}
    assert engine.read(LOCAL_AUTHORITY, state) == state


def test_an_authority_without_its_key_is_gone(engine: Engine):
    state = engine.authority()
    (engine.state / "lab" / "authority" / "key.pem").unlink()
    assert engine.read(LOCAL_AUTHORITY, state) is None


def test_name_of_a_workspace_belongs_to_one_stack(engine: Engine):
    state = engine.authority()
    with pytest.raises(grpc.RpcError) as caught:
        engine.create(LOCAL_AUTHORITY, {"workspace": "lab", "stack": "research-platform/dev"})
    sentence = "The workspace 'lab' exists on this machine already, in the stack cloister/lab, not "
    assert caught.value.details().startswith(f"{sentence}research-platform/dev.")
    engine.delete(LOCAL_AUTHORITY, state)
    assert engine.create(LOCAL_AUTHORITY, {"workspace": "lab", "stack": "research-platform/dev"})["certificate"]


def test_deleting_the_authority_removes_the_workspaces_folder(engine: Engine):
    state = engine.authority()
    engine.delete(LOCAL_AUTHORITY, state)
    assert not (engine.state / "lab").exists()


def test_folder_that_cannot_be_removed_is_reported(tmp_path: Path):
    """Here it is a file, which cannot be removed as a folder by root either."""
    (tmp_path / "trainer").touch()
    with pytest.raises(ProviderError, match=r"Cannot remove the machine's folder .*trainer"):
        machine.remove(tmp_path / "trainer")
    machine.remove(tmp_path / "absent")


def test_another_cpu_replaces_a_cvm_and_is_part_of_its_state(engine: Engine):
    inputs = engine.inputs()
    state = engine.create(LOCAL_CVM, inputs)
    assert list(engine.diff(inputs, state, inputs | {"cpu": "max"}).replaces) == ["cpu"]
    engine.delete(LOCAL_CVM, state)


def test_unknown_cpu_is_refused_and_leaves_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(accelerator, "greet", failing_greet)
    said = refusal(engine, engine.inputs(cpu="Pentium9")).details()
    assert said.startswith("QEMU does not start with the CPU 'Pentium9': unable to find CPU model 'Pentium9'. ")
    assert not (engine.state / "lab" / "trainer").exists()


def failing_greet(tools: host_tools.Tools, words: list[str]) -> bytes:
    raise ProcessError("QEMU ended with status 1: qemu-system-x86_64: unable to find CPU model 'Pentium9'")
