"""What it costs that the kernel overwrites memory when it is freed (``init_on_free=1``): a start and a run without it.

The option that switches it off is added by the host, which a policy rejects; the parties here ignore the verdict.
"""

import json
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

from benchmarks.measurement import BenchmarkError, BenchmarkResult
from cloister.client.connection.session import Session
from image.build import incremental, output
from infra.configuration import image
from infra.configuration.image import Image
from tests.agent_runtime.world import World
from tests.e2e.hostile.host import HostileHost
from tests.e2e.scratch.machine import ScratchMachine

_OFF = "init_on_free=0"
_EXTRA = ("-smbios", f"type=11,value=io.systemd.stub.kernel-cmdline-extra={_OFF}")
"""How systemd's stub takes a part of the command line from the host (systemd-stub(7))."""

_LIMITS = {"time": 200, "memory": 1 << 28, "cpus": 2, "processes": 64}

_USES_MEMORY = b"""
import json, os, subprocess, time

def memory():
    for _ in range(8):
        bytearray(48 << 20)

def files():
    for _ in range(4):
        with open("/tmp/file", "wb") as out:
            out.write(bytes(48 << 20))
        os.unlink("/tmp/file")

def processes():
    for _ in range(12):
        subprocess.run(["/usr/bin/true"])

def seconds(work):
    began = time.monotonic()
    work()
    return time.monotonic() - began

found = {work.__name__: sorted(seconds(work) for _ in range(3))[1] for work in (memory, files, processes)}
print(json.dumps({"options": open("/proc/cmdline").read().split(), **found}), flush=True)
open("results/done", "w").close()
"""


def measure(repeat: int) -> list[BenchmarkResult]:
    """Times with it as multiples of those without it, over ``repeat`` starts of each, alternately."""
    incremental.build("base", output.folder("base"), relock=True)
    base = image.find("base")
    rounds = [(_times(base, extra=()), _times(base, extra=_EXTRA)) for _ in range(repeat)]
    found = []
    for name, what in (
        ("boot", "QEMU start to the agent's `ready`"),
        ("memory", "an algorithm that allocates, writes and frees 384 MB"),
        ("files", "one that writes and deletes 200 MB of files in memory"),
        ("processes", "one that starts 12 programs"),
    ):
        ratios = tuple(wiped[name] / other[name] for wiped, other in rounds)
        middle = sorted(other[name] for _, other in rounds)[repeat // 2]
        how = f"{middle:.2f} s without"
        found.append(BenchmarkResult(f"{what}, memory wiped when freed, times without", ratios, "x", None, how))
    return found


def _times(base: Image, *, extra: tuple[str, ...]) -> dict[str, float]:
    """Seconds of a start, and of what the algorithm does."""
    with tempfile.TemporaryDirectory(prefix="cloister-wiping-") as made, HostileHost.create(Path(made), base) as host:
        with redirect_stdout(sys.stderr):
            took = host.boot(extra=extra)
        said = json.loads(_printed(host))
    if (_OFF in said.pop("options")) != bool(extra):
        raise BenchmarkError("The guest's kernel did not take the option.")
    return {"boot": took, **said}


def _printed(host: HostileHost) -> bytes:
    """What the algorithm prints."""
    parties = ScratchMachine(host).world({"algorithm": _USES_MEMORY, "h1": b"x"})
    world = _Colluders(parties.running, parties.keys, parties.files)
    world.submit(limits=_LIMITS, logs={"readers": ["reader"], "max": 4096, "release": "end"})
    world.upload_all()
    world.wait_for("results-ready")
    with world.session("reader") as session:
        return b"".join(chunk.data for chunk in session.logs())


class _Colluders(World):
    """Parties that ignore the verdict."""

    def session(self, name: str) -> Session:
        host: HostileHost = self.running.host  # ty: ignore[unresolved-attribute]
        return host.collude(self.keys[name])
