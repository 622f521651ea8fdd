"""The probe for hardware virtualisation: its guest says hello, here on an emulated CPU."""

from image import tools as host_tools
from infra.provider import accelerator


def test_the_probe_guest_says_hello():
    assert accelerator.greet(host_tools.ensure(), ["-accel", "tcg"]) == b"hello"


def test_kvm_is_never_chosen_without_a_reason():
    chosen = accelerator.choose(host_tools.ensure())
    assert chosen.name in ("kvm", "tcg")
    assert chosen.reason.endswith((".", ")")) or "did not run" in chosen.reason
