"""Chooses between KVM, which runs a guest on this machine's CPU, and emulation (TCG).

``/dev/kvm`` may exist without working (nested, paravirtual), so that KVM is used only if the CPU has vmx or svm and a
probe guest ran: a firmware of 64 KiB that writes a greeting to QEMU's debug port and powers off.
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cloister.process import ProcessError, run
from image.inputs.host_tools import Tools
from infra.provider.errors import ProviderError

GREETING = b"hello"
_ROM_SIZE = 65536
_CODE = 0xFF00
_RESET = 0xFFF0
_DEBUG_PORT = 0xE9
_EXIT_PORT = 0xF4
# isa-debug-exit ends QEMU with status (value << 1) | 1; value 0 would give 1, QEMU's own failure status.
_EXIT_VALUE = 0x10
_EXIT_STATUS = _EXIT_VALUE << 1 | 1
_SECONDS = 10.0


_COSTLY = "-fma,-avx2,-la57,-erms,-fsrm,-fsrs,-fzrm"
"""Features whose emulation costs more than code without them. Without FMA and AVX2, numpy's float32 products run at 100
instead of 47 MFLOPS, and a forward pass of ResNet-18 takes 67 s instead of more than 235. LA57: page tables of five
levels. ERMS, FSRM, FSRS and FZRM tell kernel and libraries to copy and clear memory byte by byte (`rep movsb`)."""


@dataclass(frozen=True)
class Accelerator:
    """``name`` is kvm or tcg; ``reason`` says why, as a sentence."""

    name: str
    reason: str

    def cpu(self) -> str:
        """The default CPU: the machine's own on KVM.

        On TCG without the features whose emulation costs more than code without them.
        """
        return "host" if self.name == "kvm" else f"max,{_COSTLY}"

    def argv(self) -> list[str]:
        return ["-accel", "kvm"] if self.name == "kvm" else ["-accel", "tcg,thread=multi,tb-size=512"]


def choose(tools: Tools) -> Accelerator:
    """KVM if the probe guest runs on it, else TCG."""
    flags = Path("/proc/cpuinfo").read_text("utf-8", "replace").split()
    if "vmx" not in flags and "svm" not in flags:
        return Accelerator("tcg", "The CPU has neither vmx nor svm.")
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return Accelerator("tcg", "/dev/kvm is missing or not accessible to this user.")
    try:
        said = greet(tools, ["-accel", "kvm", "-cpu", "host"])
    except ProcessError as error:
        return Accelerator("tcg", f"/dev/kvm exists, but a probe guest did not run: {error.message}")
    if said != GREETING:
        return Accelerator("tcg", f"/dev/kvm exists, but a probe guest wrote {said[:16]!r}, not {GREETING!r}.")
    return Accelerator("kvm", "The probe guest ran on KVM.")


def check_cpu(tools: Tools, accelerator: Accelerator, cpu: str) -> None:
    """Run the probe guest on ``cpu``, QEMU's ``-cpu``. Raises ProviderError with QEMU's reason."""
    try:
        greet(tools, [*accelerator.argv(), "-cpu", cpu])
    except ProcessError as error:
        raise ProviderError(
            f"QEMU does not start with the CPU {cpu!r}: {_reason(error.message)}.",
            hint="Correct cloister:workspace.cvms[].cpu, or omit it. Models are, among others, max, Nehalem, Haswell "
            "and EPYC, with features like ,+avx2 or ,-avx512f; host needs KVM.",
        ) from error


def _reason(said: str) -> str:
    """The last line of QEMU's words, without the program's name."""
    (*_, last) = said.strip().splitlines() or [""]
    return last.rpartition("qemu-system-x86_64: ")[2].removesuffix(".")


def greet(tools: Tools, accelerator: list[str]) -> bytes:
    """The output of the probe guest. Raises ProcessError when QEMU cannot run it."""
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "hello.rom").write_bytes(rom())
        argv = [*tools.argv("qemu-system-x86_64"), *accelerator, "-machine", "pc", "-m", "16M", "-nodefaults"]
        argv += ["-no-user-config", "-display", "none", "-no-reboot", "-bios", "hello.rom", "-debugcon", "file:said"]
        argv += ["-device", f"isa-debug-exit,iobase={_EXIT_PORT:#x},iosize=1"]
        done = run(argv, cwd=Path(name), check=False, timeout=_SECONDS)
        if done.returncode != _EXIT_STATUS:
            raise ProcessError(f"QEMU ended with status {done.returncode}: {done.stderr.decode('utf-8', 'replace')}")
        return (Path(name) / "said").read_bytes()


def rom() -> bytes:
    """The probe guest, 16-bit real mode (Intel SDM volume 3, 10.1.4: the first instruction is at 0xFFFFFFF0)."""
    code = b"\xba" + _DEBUG_PORT.to_bytes(2, "little")  # mov dx, port
    for letter in GREETING:
        code += b"\xb0" + bytes([letter]) + b"\xee"  # mov al, letter; out dx, al
    code += b"\xba" + _EXIT_PORT.to_bytes(2, "little")  # mov dx, port
    code += b"\xb0" + bytes([_EXIT_VALUE]) + b"\xee"  # mov al, value; out dx, al
    code += b"\xf4"  # hlt
    jump = b"\xea" + _CODE.to_bytes(2, "little") + (0xF000).to_bytes(2, "little")  # jmp F000:FF00
    image = bytearray(_ROM_SIZE)
    image[_CODE : _CODE + len(code)] = code
    image[_RESET : _RESET + len(jump)] = jump
    return bytes(image)
