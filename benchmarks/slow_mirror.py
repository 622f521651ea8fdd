"""A mirror of Debian and an index of wheels, with the locked files in the user's cache, at a bounded rate."""

import threading
import time
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

from image import cache
from image.inputs import lockfile

_BLOCK = 1 << 16


class Rate:
    """Bytes a second, of all connections together."""

    def __init__(self, bytes_per_second: float) -> None:
        self._seconds_per_byte = 1 / bytes_per_second
        self._lock = threading.Lock()
        self._free = 0.0

    def take(self, count: int) -> None:
        """Wait until ``count`` more bytes may have been sent."""
        with self._lock:
            self._free = max(self._free, time.monotonic()) + count * self._seconds_per_byte
            end = self._free
        time.sleep(max(0.0, end - time.monotonic()))


class SlowMirror(ThreadingHTTPServer):
    """Serves the files of locks at 127.0.0.1 as a Debian mirror and, below ``simple/``, as an index of packages."""

    daemon_threads = True

    def __init__(self, locks: tuple[str, ...], bytes_per_second: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.rate = Rate(bytes_per_second)
        self.files: dict[str, Path] = {}
        self.pages: dict[str, bytes] = {}
        for lock in map(lockfile.load, locks):
            for package in lock.packages:
                self.files[f"/{package.archive}/{package.path}"] = cache.inputs() / package.sha256
            for wheel in (*lock.wheels, *lock.agent_wheels):
                self.files[f"/wheels/{wheel.file}"] = cache.inputs() / wheel.sha256
                link = f'<!DOCTYPE html><a href="/wheels/{wheel.file}#sha256={wheel.sha256}">{wheel.file}</a>'
                self.pages[f"/simple/{wheel.name.replace('_', '-').lower()}/"] = link.encode()
        self._thread = threading.Thread(target=self.serve_forever)

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(path.stat().st_size for path in self.files.values())

    @property
    def environment(self) -> Mapping[str, str]:
        """With which `invoke image.build` fetches from here, and pip from nowhere else."""
        address = f"http://127.0.0.1:{self.server_port}"
        return {
            "CLOISTER_DEBIAN_MIRROR": address,
            "PIP_INDEX_URL": f"{address}/simple",
            "PIP_CONFIG_FILE": "/dev/null",
            "PIP_NO_CACHE_DIR": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: SlowMirror

    def do_GET(self) -> None:
        file, page = self.server.files.get(self.path), self.server.pages.get(self.path)
        if file is None and page is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        body = page if page is not None else file.read_bytes() if file is not None else b""
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html" if page is not None else "application/octet-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        for at in range(0, len(body), _BLOCK):
            part = body[at : at + _BLOCK]
            self.server.rate.take(len(part))
            self.wfile.write(part)

    def log_message(self, format: str, *args: object) -> None:
        """The benchmark prints only its table."""
