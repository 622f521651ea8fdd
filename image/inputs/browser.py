"""Chromium without a window, in which the tests look at pages: Debian packages of their own lock, like the host tools.

It is fetched when it is first needed. What it shows has no influence on any output, so that a newer version takes the
place of one that the archive no longer has.
"""

import contextlib
import os
from pathlib import Path

from image.inputs import host_tools
from image.inputs.chain import BROWSER

START = "usr/bin/chromium"
"""The script that starts it, which Chromium also starts its own processes with."""

# Chromium finds its files, like QEMU, beside /proc/self/exe, which is the loader.
_FOLDER = "usr/lib/chromium"
# Part of the sound library is in a subfolder that only its RUNPATH names.
_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_SCRIPT = f"""\
#!/bin/sh
root=$(cd "$(dirname "$0")/../.." && pwd)
export FONTCONFIG_FILE="$root/etc/fonts/cloister.conf"
exec "$root/{_FOLDER}/ld.so" --inhibit-cache --library-path "$root/{_LIBRARIES}:$root/{_LIBRARIES}/pulseaudio" \\
  --argv0 chromium-headless-shell "$root/{_FOLDER}/chromium-headless-shell" \\
  --no-zygote --browser-subprocess-path="$root/{START}" "$@"
"""
# Only the locked fonts, so that a page has the same lines on every machine.
_FONTS = """\
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir prefix="relative">../../usr/share/fonts</dir>
  <alias><family>sans-serif</family><prefer><family>DejaVu Sans</family></prefer></alias>
  <alias><family>system-ui</family><prefer><family>DejaVu Sans</family></prefer></alias>
  <alias><family>serif</family><prefer><family>DejaVu Serif</family></prefer></alias>
  <alias><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>
</fontconfig>
"""


def ensure() -> Path:
    """The program that starts the browser, fetched and unpacked if needed (100 MB)."""
    tools = host_tools.ensure(relock=True, programs=BROWSER)
    loader = tools.root / _FOLDER / "ld.so"
    with contextlib.suppress(FileExistsError):
        loader.hardlink_to(tools.path(host_tools.LOADER))
    _write(tools.root / "etc/fonts/cloister.conf", _FONTS, 0o644)
    _write(tools.root / START, _SCRIPT, 0o755)
    return tools.root / START


def _write(path: Path, text: str, mode: int) -> None:
    """Write a file that the packages do not have, whole, since several tests may start at one time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}")
    part.write_text(text, encoding="utf-8")
    part.chmod(mode)
    os.replace(part, path)
