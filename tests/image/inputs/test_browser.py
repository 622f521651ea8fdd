"""The browser of the tests starts with its own loader, libraries and fonts, wherever the cache is."""

import stat
import subprocess
from pathlib import Path

import pytest

from image.inputs import browser, host_tools
from image.inputs.host_tools import Tools

LOADER = '#!/bin/sh\necho "$FONTCONFIG_FILE"\nprintf \'%s\\n\' "$@"\n'


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Unpacked packages, with a loader that prints what it gets."""
    folder = tmp_path / "a cache" / "00"
    for name in (host_tools.LOADER, "usr/lib/chromium/chromium-headless-shell"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(LOADER)
        (folder / name).chmod(0o755)
    asked: dict[str, object] = {}

    def ensure(**options: object) -> Tools:
        asked.update(options)
        return Tools(folder, "00")

    monkeypatch.setattr(host_tools, "ensure", ensure)
    browser.ensure()
    assert asked == {"relock": True, "programs": "browser"}
    return folder


def test_browser_starts_itself_and_its_processes_with_what_is_locked(root: Path) -> None:
    program = browser.ensure()
    said = subprocess.run([program, "--type=renderer", "a b"], capture_output=True, check=True, text=True).stdout
    assert said.splitlines() == [
        f"{root}/etc/fonts/cloister.conf",
        "--inhibit-cache",
        "--library-path",
        f"{root}/usr/lib/x86_64-linux-gnu:{root}/usr/lib/x86_64-linux-gnu/pulseaudio",
        "--argv0",
        "chromium-headless-shell",
        f"{root}/usr/lib/chromium/chromium-headless-shell",
        "--no-zygote",
        f"--browser-subprocess-path={program}",
        "--type=renderer",
        "a b",
    ]


def test_loader_is_beside_the_browsers_files(root: Path) -> None:
    assert (root / "usr/lib/chromium/ld.so").samefile(root / host_tools.LOADER)


def test_what_an_older_checkout_wrote_is_replaced(root: Path) -> None:
    program = root / browser.START
    program.write_text("older")
    browser.ensure()
    assert program.read_text().startswith("#!/bin/sh\n")
    assert stat.S_IMODE(program.stat().st_mode) == 0o755
    assert sorted(path.name for path in (root / "etc/fonts").iterdir()) == ["cloister.conf"]
