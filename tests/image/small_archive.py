"""A small archive of Debian packages with its own key, and a web server for it that can fail."""

import hashlib
import io
import lzma
import tarfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from pysequoia import SignatureMode, Tsk, sign

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
WEEK = timedelta(days=7)
INDEX = "main/binary-amd64/Packages.xz"


def tar(files: Mapping[str, bytes]) -> bytes:
    """An uncompressed tar with these files, whose names begin with ``./`` as in a Debian package."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def make_deb(control: Mapping[str, str], files: Mapping[str, bytes], scripts: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a .deb, see deb(5)."""
    fields = "".join(f"{key}: {value}\n" for key, value in control.items())
    parts = {"control": fields.encode()} | {name: text.encode() for name, text in (scripts or {}).items()}
    members = {
        "debian-binary": b"2.0\n",
        "control.tar.xz": lzma.compress(tar(parts)),
        "data.tar.xz": lzma.compress(tar(files)),
    }
    out = b"!<arch>\n"
    for name, content in members.items():
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode() + content
        out += b"\n" * (len(content) % 2)
    return out


@dataclass
class SmallArchive:
    """Files by path below the mirror's address; ``add`` and ``release`` write them like Debian's archive."""

    key: Tsk = field(default_factory=lambda: Tsk.generate("Archive <archive@example.org>"))
    files: dict[str, bytes] = field(default_factory=dict)
    stanzas: list[str] = field(default_factory=list)

    @property
    def keyring(self) -> bytes:
        return bytes(self.key.extract_certificate())

    def add(
        self,
        name: str,
        version: str,
        *,
        depends: str = "",
        scripts: Mapping[str, str] | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> bytes:
        control = {"Package": name, "Version": version, "Architecture": "amd64"}
        content = make_deb(control, {f"usr/share/{name}/version": version.encode(), **(files or {})}, scripts)
        path = f"pool/main/{name}_{version}_amd64.deb"
        self.files[f"debian/{path}"] = content
        index = control | {"Filename": path, "Size": str(len(content)), "SHA256": hashlib.sha256(content).hexdigest()}
        if depends:
            index["Depends"] = depends
        self.stanzas.append("".join(f"{key}: {value}\n" for key, value in index.items()))
        return content

    def release(
        self, date: datetime = NOW, valid: timedelta | None = timedelta(days=7), codename: str = "trixie"
    ) -> bytes:
        """Publish the index and a signed InRelease for it; return the InRelease."""
        index = lzma.compress("\n".join(self.stanzas).encode())
        self.files[f"debian/dists/{codename}/{INDEX}"] = index
        lines = [f"Codename: {codename}", f"Date: {_date(date)}"]
        if valid is not None:
            lines.append(f"Valid-Until: {_date(date + valid)}")
        lines += ["SHA256:", f" {hashlib.sha256(index).hexdigest()} {len(index)} {INDEX}", ""]
        signed = sign(self.key.signer(), "\n".join(lines).encode(), mode=SignatureMode.CLEAR)
        self.files[f"debian/dists/{codename}/InRelease"] = bytes(signed)
        return bytes(signed)


def _date(moment: datetime) -> str:
    return format_datetime(moment).replace("+0000", "UTC")


class SmallServer:
    """Serves ``files`` on a local port. ``cut`` breaks the first response for a path after a number of bytes.

    Without ``ranges`` it ignores the Range header and sends the whole file.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = files
        self.cut: dict[str, int] = {}
        self.ranges = True
        self.requests: list[tuple[str, str]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                """Tests print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path, wanted = handler.path.removeprefix("/"), handler.headers.get("Range", "")
        self.requests.append((path, wanted))
        content = self.files.get(path)
        if content is None:
            handler.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.ranges else 0
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(content) - start))
        handler.end_headers()
        end = self.cut.pop(path, len(content))
        handler.wfile.write(content[start:end])
