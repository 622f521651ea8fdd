"""What every example's ``prepare.py`` does: lays out the folders of the parties, and fills in their manifest."""

import argparse
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from cloister import userfile
from cloister.client.computation.asset import describe_asset
from cloister.errors import INTERRUPTED, CloisterError, InputError

_EPOCH = (1980, 1, 1, 0, 0, 0)


def script(parser: argparse.ArgumentParser, prepare: Callable[[argparse.Namespace], Iterable[Path]]) -> int:
    """Run a ``prepare.py``: parse its arguments, call ``prepare``, print the paths that it wrote. Its exit code."""
    try:
        for path in prepare(parser.parse_args()):
            print(path)
    except CloisterError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return INTERRUPTED
    return 0


def write(path: Path, content: str | bytes) -> Path:
    """Write a file, replacing an older one when the new one is complete."""
    userfile.write_file(path, content.encode() if isinstance(content, str) else content)
    return path


def write_zip(path: Path, members: Mapping[str, bytes]) -> Path:
    """Write a zip that has the same bytes each time: sorted, stored, dated 1980."""
    with userfile.replacing(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), members[name])
    return path


def copy(names: Sequence[str], source: Path, target: Path) -> list[Path]:
    """Copy files by name from one folder to another."""
    target.mkdir(parents=True, exist_ok=True)
    return [Path(shutil.copyfile(source / name, target / name)) for name in names]


def write_manifest(
    template: Path,
    folder: Path,
    data: Mapping[str, Path] | None = None,
    *,
    algorithm: Mapping[str, object] | None = None,
    limits: Mapping[str, object] | None = None,
) -> Path:
    """Write an example's manifest into the folder of its author, with what the providers report of their data.

    Args:
        template: the manifest in the example's folder.
        folder: the author's folder.
        data: the file of each dataset, by its name; digest and sizes are what `checksum` prints.
        algorithm: members of ``algorithm`` that differ from the template.
        limits: members of ``limits`` that differ from the template.
    """
    value: dict[str, Any] = yaml.safe_load(template.read_text(encoding="utf-8"))
    for dataset in value["datasets"] if data is not None else ():
        found = describe_asset(data[dataset["name"]], unpack=dataset.get("unpack", False))
        dataset |= {"digest": found.digest, "size": found.size}
        if found.unpacked_size is not None:
            dataset["unpacked_size"] = found.unpacked_size
    value["algorithm"] |= algorithm or {}
    value["limits"] |= limits or {}
    head = f"# Written by prepare.py from examples/{template.parent.name}/{template.name}, which has the comments.\n"
    return write(folder / template.name, head + yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120))


def regular_file(path: Path, what: str) -> Path:
    """A file that the user names. Raises InputError."""
    if not path.is_file():
        raise InputError(f"{path} is not a file.", hint=f"Name {what}.")
    return path


def read_text(path: Path, what: str) -> str:
    """The text of a file that the user names; bytes that are not UTF-8 are replaced. Raises InputError."""
    try:
        return regular_file(path, what).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise userfile.unreadable(path, error) from error
