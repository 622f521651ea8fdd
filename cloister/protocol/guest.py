"""The guest's offer to an algorithm: its Python, the platforms of its wheels, its modules and shared libraries.

Recipes and bundles take their wheels by the same list. tests/e2e/image/test_guest_python.py compares this page
with the image and with docs/image.md.
"""

PYTHON = "3.13"
ABI = "cp313"
INTERPRETER = "/usr/bin/python3"
PACKAGE_FOLDERS = (f"usr/local/lib/python{PYTHON}/dist-packages", "usr/lib/python3/dist-packages")
"""Where the image has Python packages for algorithms, below its root, in the order of the search."""

LIBRARY_FOLDER = "usr/lib/x86_64-linux-gnu"
LINKER = "/lib64/ld-linux-x86-64.so.2"
"""The dynamic linker, which the kernel starts for a program that is not static."""

SYMBOL_VERSIONS = {"GLIBC_": (2, 41), "GLIBCXX_": (3, 4, 33), "CXXABI_": (1, 3, 15), "GCC_": (14, 0, 0)}
"""The newest versions of symbols in the guest's glibc, libstdc++ and libgcc, by prefix."""

# The guest's C library is glibc 2.41; a wheel that was built for an older one runs on it. PEP 600 names every minor
# version from 2.5 on, PEP 513, 571 and 599 three of them by a year. A wheel tagged linux_x86_64 promises no version:
# its provider has built it for a known system, and the digest in the lock says which wheel is meant.
GLIBC_MINOR = 41
_YEARS = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
PLATFORMS = (
    *(
        f"{name}_x86_64"
        for minor in range(GLIBC_MINOR, 4, -1)
        for name in (f"manylinux_2_{minor}", *([_YEARS[minor]] if minor in _YEARS else []))
    ),
    "linux_x86_64",
)
"""The platform tags of wheels that run in the guest, best first."""

MARKERS = {
    "implementation_name": "cpython",
    "implementation_version": "3.13.5",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_release": "",
    "platform_system": "Linux",
    "platform_version": "",
    "python_full_version": "3.13.5",
    "python_version": PYTHON,
    "sys_platform": "linux",
    "extra": "",
}
"""The guest's values of environment markers (PyPA, "Dependency specifiers"). The kernel's release is left open."""

# The top-level modules of the guest's standard library (``sys.stdlib_module_names`` of 3.13, without those below).
_MODULES = """
__future__ _abc _apple_support _ast _asyncio _bisect _blake2 _bz2 _codecs _codecs_cn _codecs_hk
_codecs_iso2022 _codecs_jp _codecs_kr _codecs_tw _collections _collections_abc _colorize _compat_pickle
_compression _contextvars _csv _ctypes _curses _curses_panel _datetime _dbm _decimal _elementtree
_frozen_importlib _frozen_importlib_external _functools _hashlib _heapq _imp _interpchannels _interpqueues
_interpreters _io _json _locale _lsprof _lzma _markupbase _md5 _multibytecodec _multiprocessing _opcode
_opcode_metadata _operator _osx_support _pickle _posixshmem _posixsubprocess _py_abc _pydatetime _pydecimal
_pyio _pylong _pyrepl _queue _random _sha1 _sha2 _sha3 _signal _sitebuiltins _socket _sqlite3 _sre _ssl
_stat _statistics _string _strptime _struct _suggestions _symtable _sysconfig _thread _threading_local
_tokenize _tracemalloc _typing _uuid _warnings _weakref _weakrefset _zoneinfo abc antigravity argparse array
ast asyncio atexit base64 bdb binascii bisect builtins bz2 cProfile calendar cmath cmd code codecs codeop
collections colorsys compileall concurrent configparser contextlib contextvars copy copyreg csv ctypes
curses dataclasses datetime dbm decimal difflib dis doctest email encodings enum errno faulthandler fcntl
filecmp fileinput fnmatch fractions ftplib functools gc genericpath getopt getpass gettext glob graphlib grp
gzip hashlib heapq hmac html http imaplib importlib inspect io ipaddress itertools json keyword linecache
locale logging lzma mailbox marshal math mimetypes mmap modulefinder multiprocessing netrc ntpath nturl2path
numbers opcode operator optparse os pathlib pdb pickle pickletools pkgutil platform plistlib poplib posix
posixpath pprint profile pstats pty pwd py_compile pyclbr pydoc pydoc_data pyexpat queue quopri random re
readline reprlib resource rlcompleter runpy sched secrets select selectors shelve shlex shutil signal site
smtplib socket socketserver sqlite3 sre_compile sre_constants sre_parse ssl stat statistics string
stringprep struct subprocess symtable sys sysconfig syslog tabnanny tarfile tempfile termios textwrap this
threading time timeit token tokenize tomllib trace traceback tracemalloc tty types typing unicodedata
unittest urllib uuid venv warnings wave weakref webbrowser wsgiref xml xmlrpc zipapp zipfile zipimport zlib
zoneinfo
"""
MODULES = frozenset(_MODULES.split())

# Modules of 3.13's standard library that the guest does not have, and why: the table of docs/image.md.
LEFT_OUT = {
    "tkinter _tkinter turtle turtledemo idlelib": "They draw windows, and there is no display.",
    "ensurepip": "It installs pip, and there is no index to install from: packages come with the bundle.",
    "_gdbm": "It is for `dbm.gnu`: Debian has GNU dbm in a package of its own. `dbm` has others, among them SQLite's.",
    "msvcrt nt winreg winsound _overlapped _winapi _wmi": "They are for Windows.",
    "_aix_support _android_support _ios_support _scproxy": "They are for AIX, Android, iOS and macOS.",
}

# The shared libraries in the loader's folder, by every name under which one can be asked for.
_LIBRARIES = """
ld-linux-x86-64.so.2 libBrokenLocale.so.1 libanl.so.1 libatomic.so.1 libatomic.so.1.2.0 libbz2.so.1
libbz2.so.1.0 libbz2.so.1.0.4 libc.so.6 libcap.so.2 libcap.so.2.75 libcrypt.so.1 libcrypt.so.1.1.0
libcrypto.so.3 libdb-5.3.so libdl.so.2 libexpat.so.1 libexpat.so.1.13.0 libexpatw.so.1 libexpatw.so.1.13.0
libffi.so.8 libffi.so.8.1.4 libformw.so.6 libformw.so.6.5 libgcc_s.so.1 libgomp.so.1 libgomp.so.1.0.0
libhistory.so.8 libhistory.so.8.2 liblzma.so.5 liblzma.so.5.8.1 libm.so.6 libmenuw.so.6 libmenuw.so.6.5
libmvec.so.1 libncursesw.so.6 libncursesw.so.6.5 libnsl.so.1 libnss_compat.so.2 libnss_dns.so.2
libnss_files.so.2 libnss_hesiod.so.2 libpanelw.so.6 libpanelw.so.6.5 libpsx.so.2 libpsx.so.2.75
libpthread.so.0 libreadline.so.8 libreadline.so.8.2 libresolv.so.2 librt.so.1 libseccomp.so.2
libseccomp.so.2.6.0 libsqlite3.so.0 libsqlite3.so.0.8.6 libssl.so.3 libstdc++.so.6 libstdc++.so.6.0.33
libsystemd.so.0 libsystemd.so.0.40.0 libtic.so.6 libtic.so.6.5 libtinfo.so.6 libtinfo.so.6.5 libutil.so.1
libuuid.so.1 libuuid.so.1.3.0 libyajl.so.2 libyajl.so.2.1.0 libz.so.1 libz.so.1.3.1 libzstd.so.1
libzstd.so.1.5.7
"""
LIBRARIES = frozenset(_LIBRARIES.split())


def left_out(module: str) -> str | None:
    """Return why the guest's standard library does not have ``module`` (a top-level name); None if that is not so."""
    return next((why for names, why in LEFT_OUT.items() if module in names.split()), None)
