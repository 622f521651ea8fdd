"""What parties do on their own machines: `checksum` of a large zip, and the start of a trial.

The zip is a tenth of a hospital's 10 GB, because the figure is a ratio: pictures, which do not compress, and tables,
which do. `unzip -t` must be installed; without it, the benchmark fails instead of comparing with something else.
"""

import random
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

from benchmarks.measurement import BenchmarkError, BenchmarkResult, seconds

_MB = 1_000_000
_PICTURES, _PICTURE_SIZE = 1800, 500_000
_TABLES, _TABLE_ROWS = 100, 60_000
_PROGRAM = "print(1, flush=True)\n"
_FIRST_LINE = """
import sys, time
from pathlib import Path
from cloister.client.trial import program
printed = []
began = time.monotonic()
report = program.run(Path(sys.argv[1]), Path(sys.argv[2]), show=lambda data: printed.append(time.monotonic()))
if not printed:
    raise SystemExit(f"The trial printed nothing: {report}")
print(printed[0] - began)
"""


def measure(repeat: int) -> list[BenchmarkResult]:
    """The ratio for `checksum`, and seconds to the first line of a trial's algorithm."""
    return [*_checksum(repeat), *_trial(repeat)]


def _checksum(repeat: int) -> list[BenchmarkResult]:
    if shutil.which("unzip") is None:
        raise BenchmarkError("`unzip` is not installed.", hint="Install the package unzip.")
    with tempfile.TemporaryDirectory(prefix="cloister-parties-") as made:
        path = Path(made) / "pictures.zip"
        _write_zip(path)
        size = path.stat().st_size / _MB
        cloister = Path(sys.executable).with_name("cloister")
        ratios = []
        for _ in range(repeat):
            others = seconds(["sha256sum", path]) + seconds(["unzip", "-tqq", path])
            ratios.append(seconds([cloister, "checksum", path]) / others)
    how = f"a zip of {size:.0f} MB with {_PICTURES + _TABLES} members; whole processes"
    return [BenchmarkResult("`checksum`, times `sha256sum` and `unzip -t`", tuple(ratios), "x", 1.3, how)]


def _trial(repeat: int) -> list[BenchmarkResult]:
    from image.build import output, root_tree

    root = root_tree.unpacked(output.locate("base"))
    with tempfile.TemporaryDirectory(prefix="cloister-parties-") as made:
        program = Path(made) / "train.py"
        program.write_text(_PROGRAM, encoding="utf-8")
        script = Path(made) / "first_line.py"
        script.write_text(_FIRST_LINE, encoding="utf-8")
        report = Path(made) / "took"
        starts, plain = [], []
        for _ in range(repeat):
            command = f'"{sys.executable}" "{script}" "{root}" "{program}" > "{report}"'
            seconds(["sh", "-c", command])
            starts.append(float(report.read_text(encoding="utf-8")))
            plain.append(seconds([sys.executable, program]))
    return [
        BenchmarkResult(
            "start of a trial to the algorithm's first line", tuple(starts), "s", 1, "image base, no datasets"
        ),
        BenchmarkResult("the same program without a sandbox", tuple(plain), "s", None, "a whole process"),
    ]


def _write_zip(path: Path) -> None:
    source = random.Random(0)  # noqa: S311 - not a secret: the same zip every time
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for number in range(_PICTURES):
            archive.writestr(f"pictures/{number:04}.png", source.randbytes(_PICTURE_SIZE), zipfile.ZIP_STORED)
        for number in range(_TABLES):
            rows = "".join(f"{row},{source.randrange(1000)},{row % 7}\n" for row in range(_TABLE_ROWS))
            archive.writestr(f"tables/{number:02}.csv", rows)
