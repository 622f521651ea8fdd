"""Sets up a machine for its first workspace."""

import time

from image.inputs import host_tools
from infra.pulumi_cli import engine, environment


def run(*, relock: bool = False) -> None:
    """Install the engine and the host tools, and write ``.cloister/env``. Prints a line before each long step.

    ``relock`` is as for ``image.inputs.relock.obtain``.
    """
    found = engine.ensure(_say)
    if host_tools.find() is None:
        _say("Host tools (QEMU, swtpm, OVMF, mkfs.erofs ...): fetching about 50 MB of Debian packages ...")
        began = time.monotonic()
        host_tools.ensure(relock=relock)
        _say(f"Host tools: unpacked after {time.monotonic() - began:.0f} s.")
    path = environment.write(found)
    _say(f"Ready: Pulumi {found.version} ({found.source}), host tools, {path}.")


def _say(line: str) -> None:
    print(line, flush=True)
