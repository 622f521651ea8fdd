"""The probe for hardware virtualisation: its guest says hello, here on an emulated CPU."""

import pytest

from cloister.process import ProcessError
from image.inputs import host_tools
from infra.provider.errors import ProviderError
from infra.provider.qemu import accelerator, machine
from infra.provider.qemu.accelerator import Accelerator


def test_the_probe_guest_says_hello():
    assert accelerator.greet(host_tools.ensure(), ["-accel", "tcg"]) == b"hello"


def test_choice_of_accelerator_has_a_reason():
    chosen = accelerator.choose(host_tools.ensure())
    assert (chosen.name == "kvm") == (chosen.reason == "The probe guest ran on KVM.")
    assert chosen.reason.startswith(("The CPU has neither", "/dev/kvm", "The probe guest ran"))


def test_failing_qemu_does_not_count_as_a_running_guest():
    with pytest.raises(ProcessError, match=r"QEMU ended with status 1: .*nonsense"):
        accelerator.greet(host_tools.ensure(), ["-accel", "nonsense"])


@pytest.mark.parametrize(
    ("name", "cpu", "expected"),
    [
        ("tcg", "", "max,-fma,-avx2,-la57,-erms,-fsrm,-fsrs,-fzrm"),
        ("kvm", "", "host"),
        ("tcg", "max", "max"),
        ("kvm", "Nehalem,+aes", "Nehalem,+aes"),
    ],
)
def test_cpu_is_the_configured_one_or_the_default_of_the_accelerator(name: str, cpu: str, expected: str):
    hardware = machine.Hardware("lab/trainer", 2, 1 << 30, 7000, console=False, cpu=cpu)
    argv = machine.argv(host_tools.ensure(), hardware, Accelerator(name, ""))
    assert argv[argv.index("-cpu") + 1] == expected


@pytest.mark.parametrize("cpu", [Accelerator("tcg", "").cpu(), "max", "Nehalem", "EPYC,-svm"])
def test_cpu_that_qemu_has_is_accepted(cpu: str):
    accelerator.check_cpu(host_tools.ensure(), Accelerator("tcg", ""), cpu)


@pytest.mark.parametrize(
    ("cpu", "reason"),
    [
        ("Pentium9", "unable to find CPU model 'Pentium9'"),
        ("max,-sparkle", "Property 'max-x86_64-cpu.sparkle' not found"),
        ("host", "CPU model 'host' requires KVM or HVF"),
    ],
)
def test_cpu_that_qemu_does_not_have_is_refused_with_its_reason(cpu: str, reason: str):
    with pytest.raises(ProviderError) as caught:
        accelerator.check_cpu(host_tools.ensure(), Accelerator("tcg", ""), cpu)
    assert caught.value.message.startswith(f"QEMU does not start with the CPU {cpu!r}: ")
    assert reason in caught.value.message
    assert caught.value.hint.startswith("Correct cloister:workspace.cvms[].cpu")
