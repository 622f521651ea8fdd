"""What algorithms find in the guest: a complete Python and the libraries that wheels expect, as docs/image.md says."""

import json
import re
import textwrap
from pathlib import Path

import pytest

from cloister.client.trial import program
from cloister.protocol import guest
from infra import paths

_PAGE = paths.CHECKOUT / "docs" / "image.md"

_IMPORT_ALL = """
import importlib, io, json, sys, warnings
warnings.simplefilter("ignore")
missing, out = [], sys.stdout
sys.stdout = io.StringIO()  # `this` prints
for name in sorted(sys.stdlib_module_names - {"antigravity"}):  # which opens a browser
    try:
        importlib.import_module(name)
    except ImportError:
        missing.append(name)
print(json.dumps({"names": sorted(sys.stdlib_module_names), "missing": missing}), file=out)
"""

# What each line prints in the guest. All kinds that packages and people use of a standard library that is complete.
_PROMISES = {
    "hashlib of OpenSSL": (
        "import hashlib; print(hashlib.pbkdf2_hmac('sha256', b'a', b'b', 2).hex()[:8],"
        " hashlib.scrypt(b'a', salt=b'b', n=2, r=8, p=1).hex()[:8], hashlib.new('ripemd160').name,"
        " hashlib.algorithms_guaranteed <= hashlib.algorithms_available)",
        "a14585f5 72f03e08 ripemd160 True",
    ),
    "ssl without roots": (
        "import ssl; print(ssl.create_default_context().get_ca_certs(), ssl.OPENSSL_VERSION.split()[0])",
        "[] OpenSSL",
    ),
    "curses": (
        "import curses, curses.panel; [curses.setupterm(name, 1) for name in ('xterm', 'linux', 'dumb')];"
        " print(curses.tigetnum('cols'))",
        "80",
    ),
    "dbm": (
        "import dbm.sqlite3, dbm.ndbm, dbm.dumb\n"
        "for kind in (dbm.sqlite3, dbm.ndbm, dbm.dumb):\n"
        "    with kind.open(f'/tmp/{kind.__name__}', 'c') as file:\n"
        "        file[b'a'] = b'b'; print(file[b'a'].decode(), end='')\n"
        "print(dbm.open('/tmp/any', 'c').keys())",
        "bbb[]",
    ),
    "readline": ("import readline; print(readline.backend)", "readline"),
    "venv": (
        "import subprocess, venv; venv.create('/tmp/v', with_pip=False)\n"
        "words = ['/tmp/v/bin/python', '-c', 'import sys; print(sys.prefix)']\n"
        "print(subprocess.run(words, capture_output=True).stdout)",
        "b'/tmp/v\\n'",
    ),
    "time zones": (
        "import time, zoneinfo; print(*map(zoneinfo.ZoneInfo, ('Europe/Berlin', 'US/Eastern', 'Asia/Calcutta')),"
        " len(zoneinfo.available_timezones()) > 590, time.tzname)",
        "Europe/Berlin US/Eastern Asia/Calcutta True ('UTC', 'UTC')",
    ),
    "the locale": (
        "import locale, sys; print(locale.setlocale(locale.LC_ALL, ''), sys.stdout.encoding)",
        "C.UTF-8 utf-8",
    ),
    "sqlite3": (
        "import sqlite3; database = sqlite3.connect(':memory:')\n"
        "database.execute('create virtual table a using fts5(x)')\n"
        "print(database.execute(\"select json('[1]'), sqrt(4)\").fetchall())",
        "[('[1]', 2.0)]",
    ),
    "compression": (
        "import bz2, lzma, zlib; print(*(kind.decompress(kind.compress(b'x')) for kind in (bz2, lzma, zlib)))",
        "b'x' b'x' b'x'",
    ),
    "libraries by name": (
        "from ctypes.util import find_library\n"
        "print(*map(find_library, 'c m z gomp stdc++ gcc_s atomic expat crypt GL'.split()))",
        "libc.so.6 libm.so.6 libz.so.1 libgomp.so.1 libstdc++.so.6 libgcc_s.so.1 libatomic.so.1 libexpat.so.1"
        " libcrypt.so.1 None",
    ),
    "processes": (
        "import multiprocessing\n"
        "for method in ('fork', 'forkserver'):\n"
        "    with multiprocessing.get_context(method).Pool(2) as pool: print(pool.map(abs, [-1, -2]))",
        "[1, 2]\n[1, 2]",
    ),
    "pydoc": (
        "import subprocess, sys\n"
        "for topic in ('json', 'lambda'):\n"
        "    print(subprocess.run([sys.executable, '-m', 'pydoc', topic], capture_output=True).stdout[:12])",
        "b'Help on pack'\nb'Lambdas\\n****'",
    ),
    "services and types": (
        "import mimetypes, socket\nprint(socket.getservbyname('https'), mimetypes.guess_type('a.parquet')[0])",
        "443 application/vnd.apache.parquet",
    ),
    "a shell": (
        "import os, subprocess, sys; os.system('mkdir /tmp/a && ls /tmp | grep -x a'); sys.stdout.flush()\n"
        "print(subprocess.run(['env', 'X=1', 'sh', '-c', 'echo $X'], capture_output=True).stdout)\n"
        "print(subprocess.run(['cat', '/etc/hostname-of-nobody'], capture_output=True).returncode)",
        "a\nb'1\\n'\n1",
    ),
}


def _printed(tree: Path, folder: Path, source: str) -> str:
    """What a program prints in the guest. Processes that it starts may import it again."""
    path = folder / "program.py"
    source += "\nopen('results/done', 'w').close()\n"
    path.write_text(f"if __name__ == '__main__':\n{textwrap.indent(source, '    ')}")
    report = program.run(tree, path)
    assert report.ok, report.output.decode()
    return report.output.decode().strip()


@pytest.mark.packages
def test_standard_library_is_complete_but_for_what_the_table_lists(allowed: Path, tmp_path: Path) -> None:
    found = json.loads(_printed(allowed, tmp_path, _IMPORT_ALL))
    left_out = {name for names in guest.LEFT_OUT for name in names.split()}

    assert set(found["missing"]) == left_out
    assert set(found["names"]) == guest.MODULES | left_out


@pytest.mark.parametrize("promise", list(_PROMISES))
def test_guest_keeps_what_programs_expect(allowed: Path, tmp_path: Path, promise: str) -> None:
    source, printed = _PROMISES[promise]

    assert _printed(allowed, tmp_path, source) == printed


def test_libraries_are_those_that_bundles_are_checked_against(tree: Path) -> None:
    folder = tree / "usr/lib/x86_64-linux-gnu"

    assert {path.name for path in folder.iterdir() if ".so" in path.name} == guest.LIBRARIES
    assert set(_rows("### Shared libraries")).isdisjoint(guest.LIBRARIES)


def test_page_and_table_say_the_same() -> None:
    assert _rows("### What stays out of the guest's Python") == {
        name: why for names, why in guest.LEFT_OUT.items() for name in names.split()
    }
    assert guest.left_out("tkinter") == "They draw windows, and there is no display."
    assert guest.left_out("pydoc") is None


def _rows(heading: str) -> dict[str, str]:
    """The table below a heading of the page: each name of the first column, and the second column."""
    section = _PAGE.read_text(encoding="utf-8").split(f"{heading}\n")[1].split("\n#")[0]
    rows = re.findall(r"^\| (`.+?`) \| (.+) \|$", section, re.MULTILINE)
    return {name: why for names, why in rows for name in re.findall(r"`([^`]+)`", names)}
