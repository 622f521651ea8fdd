"""Run a program where there is no network: in a namespace of its own, whose only interface is down."""

import shutil
import subprocess

import pytest

_WORDS = ["unshare", "--user", "--map-root-user", "--net"]


def words() -> list[str]:
    """The start of a command line; skips the test, saying why, where the system does not allow namespaces."""
    if shutil.which(_WORDS[0]) is None:
        pytest.skip("this system has no unshare (util-linux)")
    done = subprocess.run([*_WORDS, "true"], capture_output=True, check=False, text=True)
    if done.returncode:
        pytest.skip(f"this system does not allow network namespaces: {done.stderr.strip()}")
    return _WORDS
