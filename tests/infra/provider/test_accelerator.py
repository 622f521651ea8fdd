"""The probe for hardware virtualisation: its guest says hello, here on an emulated CPU."""

import pytest

from cloister.process import ProcessError
from image.inputs import host_tools
from infra.provider.qemu import accelerator


def test_the_probe_guest_says_hello():
    assert accelerator.greet(host_tools.ensure(), ["-accel", "tcg"]) == b"hello"


def test_choice_of_accelerator_has_a_reason():
    chosen = accelerator.choose(host_tools.ensure())
    assert (chosen.name == "kvm") == (chosen.reason == "The probe guest ran on KVM.")
    assert chosen.reason.startswith(("The CPU has neither", "/dev/kvm", "The probe guest ran"))


def test_failing_qemu_does_not_count_as_a_running_guest():
    with pytest.raises(ProcessError, match=r"QEMU ended with status 1: .*nonsense"):
        accelerator.greet(host_tools.ensure(), ["-accel", "nonsense"])
