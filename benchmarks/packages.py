"""Time to make a bundle compared with copying its wheels, and to install it compared with unzipping them.

The wheels are synthetic: as many as torch 2.6.0 has from PyPI (36), with as many files, and sizes of that order (2.4
GB). Half of the content is random, as in compiled libraries. Ratios of fewer bytes say nothing: `cp` of what fits into
the page cache is faster than SHA-256 on one processor. Where other programs run at the same time, the ratio for `cp`
says little either: a copy waits for the disk, a hash for a processor. What a step has written is on the disk before the
next one begins, which would wait for it otherwise.
"""

import base64
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measurement import CHECKOUT, BenchmarkError, BenchmarkResult, seconds

_MB = 1_000_000
# Megabytes of content of the wheels, and their files: a few large libraries, many packages of small files.
_LARGE = (1050, 700, 490, 350, 280, 210, 140, 105, 70, 35)
_SMALL = 26
_SMALL_FILES = 700
_BLOCK = 1 << 20
_BUNDLE = """
import sys
from pathlib import Path
from benchmarks.measurement import peak_memory
from cloister.client.packages.bundle import make_bundle
lock, output, cache = map(Path, sys.argv[1:])
make_bundle(lock, output, cache=cache)
print(peak_memory())
"""
_INSTALL = """
import sys
from pathlib import Path
from cloister.protocol.wheels import bundle
bundle.install(Path(sys.argv[1]), bundle.Folder(Path(sys.argv[2])), sys.executable)
"""
_UNZIP = """
import sys, zipfile
for path in sys.argv[2:]:
    zipfile.main(["-e", path, sys.argv[1]])
"""


def measure(repeat: int) -> list[BenchmarkResult]:
    """Ratios of times, and the peak of memory."""
    with tempfile.TemporaryDirectory(prefix="cloister-packages-") as made:
        folder = Path(made)
        lock, cache = folder / "requirements.lock", folder / "cache"
        wheels = _wheels(cache, lock)
        size = sum(path.stat().st_size for path in wheels) / _MB
        first, _ = _bundle(lock, folder / "x.bundle", cache)
        bundling, installing, peaks = [], [], []
        for number in range(repeat):
            (target := folder / f"copy-{number}").mkdir()
            os.sync()
            copy = seconds(["cp", "--reflink=never", *wheels, target])
            (folder / "x.bundle").unlink()
            os.sync()
            took, peak = _bundle(lock, folder / "x.bundle", cache)
            os.sync()
            unzip = seconds([sys.executable, "-c", _UNZIP, folder / f"unzip-{number}", *wheels])
            os.sync()
            install = seconds([sys.executable, "-c", _INSTALL, folder / "x.bundle", folder / f"install-{number}"])
            bundling.append(took / copy)
            installing.append(install / unzip)
            peaks.append(peak)
            for name in ("copy", "unzip", "install"):
                subprocess.run(["rm", "-rf", folder / f"{name}-{number}"], check=True)
    what = f"{len(wheels)} wheels of {size:.0f} MB"
    return [
        BenchmarkResult("bundle, times `cp`", tuple(bundling), "x", 2, f"{what}, inspected before; whole processes"),
        BenchmarkResult("memory to make a bundle", tuple(peaks), "MB", 150, f"{what}; VmHWM"),
        BenchmarkResult("first bundle, with inspection", (first,), "s", None, f"{what}: unpacked and compared once"),
        BenchmarkResult(
            "installing a bundle, times `zipfile -e`", tuple(installing), "x", 1.5, f"{what}; one process each"
        ),
    ]


def _bundle(lock: Path, output: Path, cache: Path) -> tuple[float, float]:
    """Seconds and megabytes of one bundle."""
    began = time.monotonic()
    words: Sequence[str | Path] = [sys.executable, "-c", _BUNDLE, lock, output, cache]
    done = subprocess.run(words, cwd=CHECKOUT, capture_output=True, check=False)
    took = time.monotonic() - began
    if done.returncode != 0:
        raise BenchmarkError(f"The bundle failed: {done.stderr.decode('utf-8', 'replace')[-2000:]}")
    return took, float(done.stdout)


def _wheels(cache: Path, lock: Path) -> list[Path]:
    """Write the wheels into the cache, and their lock."""
    source = random.Random(0)  # noqa: S311 - not a secret: the same wheels every time
    found, lines = [], []
    plans = [(f"large{number}", [size * _MB] + [20_000] * 20) for number, size in enumerate(_LARGE)]
    plans += [
        (f"small{number}", [source.randrange(500, 12_000) for _ in range(_SMALL_FILES)]) for number in range(_SMALL)
    ]
    for name, sizes in plans:
        part = cache / f"{name}.part"
        cache.mkdir(parents=True, exist_ok=True)
        _write_wheel(part, name, sizes, source)
        with part.open("rb") as file:
            digest_hex = hashlib.file_digest(file, "sha256").hexdigest()
        (cache / digest_hex).mkdir()
        found.append(part.replace(cache / digest_hex / f"{name}-1.0-py3-none-any.whl"))
        lines.append(f"{name}==1.0 --hash=sha256:{digest_hex}\n")
    lock.write_text("".join(lines), encoding="utf-8")
    return found


def _write_wheel(path: Path, name: str, sizes: Sequence[int], source: random.Random) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        rows = []
        for number, size in enumerate(sizes):
            member = f"{name}/part{number % 30}/file{number}.py"
            state = hashlib.sha256()
            with archive.open(member, "w", force_zip64=True) as out:
                for start in range(0, size, _BLOCK):
                    count = min(_BLOCK, size - start)
                    block = (
                        source.randbytes(count // 2)
                        + json.dumps(list(range(count // 8))).encode()[: count - count // 2]
                    )
                    state.update(block)
                    out.write(block)
            digest = base64.urlsafe_b64encode(state.digest()).rstrip(b"=").decode()
            rows.append(f"{member},sha256={digest},")
        rows.append(f"{name}-1.0.dist-info/RECORD,,")
        archive.writestr(f"{name}-1.0.dist-info/RECORD", "\n".join(rows) + os.linesep)
