"""The provider with the stand-in in QEMU's place, as the engine starts it in tests."""

import sys
from dataclasses import dataclass
from pathlib import Path

from image.inputs import host_tools
from infra.provider.__main__ import main

HERE = Path(__file__).resolve().parent
_ensure = host_tools.ensure


@dataclass(frozen=True)
class StandInTools(host_tools.Tools):
    """The locked tools, except QEMU."""

    def argv(self, name: str) -> list[str]:
        if name == "qemu-system-x86_64":
            return [sys.executable, str(HERE / name)]
        return super().argv(name)


def ensure() -> host_tools.Tools:
    real = _ensure()
    return StandInTools(real.root, real.digest)


if __name__ == "__main__":
    host_tools.ensure = ensure
    main(sys.argv[1:])
