"""A computation of a lab and two hospitals, as its author writes it, with keys and files."""

from dataclasses import dataclass
from pathlib import Path

from cloister.client.computation.asset import describe_asset
from cloister.client.computation.manifest import compose_manifest
from cloister.client.files import keys
from cloister.client.files.keys import KeyType, generate_key
from cloister.protocol.manifest import Manifest

SOURCE = """\
version: 1
name: covid19
description: joint training
parties:
  lab: {{key: lab.pub}}
  hospital-1: {{key: hospital-1.pub}}
  hospital-2: {{key: hospital-2.pub}}
algorithm:
  provider: lab
  file: train.py
  kind: python
  args: [--epochs, "1"]
datasets:
  - name: h1
    provider: hospital-1
    file: h1.csv
    digest: {h1.digest}
    size: {h1.size}
  - {{name: h2, provider: hospital-2, file: h2.csv, digest: {h2.digest}, size: {h2.size}}}
results: {{consumers: [lab, hospital-1], expires: 24h, max: 1MiB}}
logs: {{readers: [lab], max: 4KiB}}
limits: {{time: 2m, memory: 256MiB, cpus: 1, processes: 16}}
"""


@dataclass(frozen=True)
class Parties:
    """All parties' files below one folder; the hospitals' data is where the author's manifest does not find it."""

    folder: Path
    keys: dict[str, keys.Key]
    files: dict[str, Path]

    @classmethod
    def make(cls, folder: Path, *, h1: bytes = b"1,2\n" * 1000) -> "Parties":
        """Write keys, algorithm, datasets and the author's manifest."""
        made = {
            name: generate_key(folder / f"{name}.pem", KeyType.ED25519)
            for name in ("lab", "hospital-1", "hospital-2", "stranger")
        }
        files = {"algorithm": folder / "train.py", "h1": folder / "data" / "h1.csv", "h2": folder / "data" / "h2.csv"}
        (folder / "data").mkdir()
        files["algorithm"].write_text("open('results/model.json', 'w').write('{}')\n")
        files["h1"].write_bytes(h1)
        files["h2"].write_bytes(b"3,4\n" * 500)
        text = SOURCE.format(h1=describe_asset(files["h1"]), h2=describe_asset(files["h2"]))
        (folder / "manifest.yaml").write_text(text)
        return cls(folder, made, files)

    def manifest(self) -> Manifest:
        """The canonical manifest, also written to manifest.json."""
        made = compose_manifest(self.folder / "manifest.yaml")
        (self.folder / "manifest.json").write_bytes(made.encode())
        return made

    def edit(self, old: str, new: str) -> int:
        """Change the author's manifest, and return the line of the change."""
        path = self.folder / "manifest.yaml"
        text = path.read_text()
        if text.count(old) != 1:
            raise ValueError(f"{old!r} is there {text.count(old)} times")
        path.write_text(text.replace(old, new))
        return text[: text.index(old)].count("\n") + 1
