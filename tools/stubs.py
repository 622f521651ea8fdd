"""``python -m tools.stubs``: generates ``cloister/v1`` from ``proto/``.

The generated files are committed because their bytes are part of the measured image.
"""

import sys
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

from cloister.errors import CloisterError

ROOT = Path(__file__).resolve().parent.parent
GENERATED = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py")


def generate(out: Path) -> list[Path]:
    """Generate ``out/cloister/v1/*`` from every file in ``proto/cloister/v1`` and return the files' paths.

    Files of an earlier run are removed first. Raises CloisterError when protoc rejects a source; protoc itself prints
    the reason on stderr.
    """
    sources = sorted((ROOT / "proto").glob("cloister/v1/*.proto"))
    package = out / "cloister" / "v1"
    package.mkdir(parents=True, exist_ok=True)
    for stale in package.glob("*_pb2*"):
        stale.unlink()
    arguments = [
        "protoc",
        f"--proto_path={ROOT / 'proto'}",
        f"--proto_path={Path(grpc_tools.__file__).parent / '_proto'}",
        f"--python_out={out}",
        f"--pyi_out={out}",
        f"--grpc_python_out={out}",
        *(str(source) for source in sources),
    ]
    if protoc.main(arguments) != 0:
        raise CloisterError("protoc rejects the sources in proto/cloister/v1.", hint="Fix what protoc reports above.")
    return sorted(path for path in package.iterdir() if path.name.endswith(GENERATED))


def main() -> int:
    (ROOT / "cloister" / "v1" / "__init__.py").touch()
    for path in generate(ROOT):
        print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
