"""Small wheels, right and wrong ones, made by the tests."""

import base64
import hashlib
import io
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

Content = bytes | tuple[bytes, int]
"""A file's content, and its mode if it has one."""


@dataclass
class SmallWheel:
    """A wheel; the fields after ``files`` are for wheels that break a rule."""

    name: str = "demo"
    files: Mapping[str, Content] = field(default_factory=dict)
    version: str = "1.0"
    tag: str = "py3-none-any"
    algorithm: str = "sha256"
    hashes: Mapping[str, str] = field(default_factory=dict)
    """What RECORD says in place of the right hash, by path."""
    info: str = ""
    prefix: bytes = b""
    compression: int = zipfile.ZIP_STORED
    twice: tuple[str, bytes] | None = None
    record: bool = True
    requires: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """The file name."""
        return f"{self.name}-{self.version}-{self.tag}.whl"

    def build(self) -> bytes:
        """The bytes of the wheel."""
        info = self.info or f"{self.name}-{self.version}.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {self.name}\nVersion: {self.version}\n"
        metadata += "".join(f"Requires-Dist: {other}\n" for other in self.requires)
        files: dict[str, Content] = {
            **self.files,
            f"{info}/METADATA": metadata.encode(),
            f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {self.tag}\n".encode(),
        }
        out = io.BytesIO()
        out.write(self.prefix)
        with zipfile.ZipFile(out, "a" if self.prefix else "w", self.compression) as archive:
            rows = []
            for name, content in files.items():
                data, mode = content if isinstance(content, tuple) else (content, stat.S_IFREG | 0o644)
                digest = base64.urlsafe_b64encode(hashlib.new(self.algorithm, data).digest()).rstrip(b"=").decode()
                quoted = f'"{name}"' if "," in name else name
                rows.append(f"{quoted},{self.hashes.get(name, f'{self.algorithm}={digest}')},{len(data)}")
                member = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
                member.external_attr = mode << 16
                member.compress_type = self.compression
                archive.writestr(member, data)
            if self.twice is not None:
                archive.writestr(zipfile.ZipInfo(self.twice[0], (2020, 1, 1, 0, 0, 0)), self.twice[1])
            if self.record:
                member = zipfile.ZipInfo(f"{info}/RECORD", (2020, 1, 1, 0, 0, 0))
                archive.writestr(member, "\n".join([*rows, f"{info}/RECORD,,"]) + "\n")
        return out.getvalue()

    def write(self, folder: Path) -> str:
        """Write the wheel into a folder; returns its SHA-256."""
        data = self.build()
        (folder / self.file).write_bytes(data)
        return hashlib.sha256(data).hexdigest()

    def line(self, digest_hex: str) -> str:
        """The line of a lock."""
        return f"{self.name}=={self.version} --hash=sha256:{digest_hex}\n"
