"""What the sandbox costs an algorithm: a network trained in a trial, and in the same files without crun.

The script times its own training, so neither the start of the sandbox nor the import of torch counts: the fastest of a
few blocks of steps, because other work on the machine only adds. The figure is a ratio of two runs one after the other,
on the same image.
"""

import shlex
import tempfile
from pathlib import Path

from benchmarks.measurement import BenchmarkError, BenchmarkResult, output_of
from cloister.client.trial import program
from image.build import output, root_tree

_TRAINING = """
import time
import torch

torch.manual_seed(0)
torch.set_num_threads(2)
model = torch.nn.Sequential(
    torch.nn.Conv2d(1, 16, 3), torch.nn.ReLU(), torch.nn.Conv2d(16, 32, 3), torch.nn.ReLU(),
    torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten(), torch.nn.Linear(512, 3),
)
optimizer = torch.optim.SGD(model.parameters(), 0.01)
pictures, labels = torch.randn(32, 1, 64, 64), torch.randint(0, 3, (32,))

def train(steps):
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(pictures), labels).backward()
        optimizer.step()

def block():
    began = time.perf_counter()
    train(20)
    return time.perf_counter() - began

train(3)
print("took", min(block() for _ in range(5)), flush=True)
"""
_PAIRS = 3
"""Pairs of runs for each repetition: the speed of a shared machine changes within seconds by more than the target."""
_WITHOUT_CRUN = """
mount -t tmpfs none {tree}/tmp && cp {script} {tree}/tmp/train.py \\
    && mount --rbind /proc {tree}/proc && mount --rbind /dev {tree}/dev \\
    && exec chroot {tree} /usr/bin/python3 -B /tmp/train.py
"""


def measure(repeat: int) -> list[BenchmarkResult]:
    """Seconds of the training in a trial, as a multiple of those without crun. Needs the image `pytorch`."""
    tree = root_tree.unpacked(output.locate("pytorch"))
    with tempfile.TemporaryDirectory(prefix="cloister-sandbox-") as made:
        script = Path(made) / "train.py"
        script.write_text(_TRAINING, encoding="utf-8")
        ratios = []
        for _ in range(_PAIRS * repeat):
            plain = _without_crun(tree, script)
            ratios.append(_in_trial(tree, script) / plain)
    how = "20 steps of a small convolutional network on 2 threads, image pytorch; the script's own clock, fastest of 5"
    return [BenchmarkResult("training in the sandbox, times without crun", tuple(ratios), "x", 1.05, how)]


def _in_trial(tree: Path, script: Path) -> float:
    printed: list[bytes] = []
    report = program.run(tree, script, show=printed.append)
    return _took(b"".join(printed).decode("utf-8", "replace"), str(report))


def _without_crun(tree: Path, script: Path) -> float:
    commands = _WITHOUT_CRUN.format(tree=shlex.quote(str(tree)), script=shlex.quote(str(script)))
    said = output_of(["unshare", "--map-root-user", "--mount", "--", "sh", "-c", commands])
    return _took(said, said)


def _took(printed: str, otherwise: str) -> float:
    for line in printed.splitlines():
        if line.startswith("took "):
            return float(line.removeprefix("took "))
    raise BenchmarkError(f"The training did not print its time: {otherwise}")
