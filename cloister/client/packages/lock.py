"""Lock requirements: exact versions with the hashes of their files, for the guest's Python and platform.

uv resolves and does not build: a package that is published as source code only cannot be locked. Where packages are
looked up is said by the lines of the file about indexes, else by uv's configuration, else by pip's. Each package comes
from the first index that has it, so that a package of the same name in another index is never taken.
"""

import ast
import importlib.util
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cloister import userfile
from cloister.client.packages import better
from cloister.client.packages.addresses import without_credentials
from cloister.client.packages.image_packages import Stubs
from cloister.client.packages.requirements import (
    LOCATIONS,
    TRUSTED_HOST,
    Requirement,
    Requirements,
    parse_requirements,
    read_requirements,
)
from cloister.errors import InputError
from cloister.process import ProcessError, module, run
from cloister.protocol import guest
from cloister.protocol.wheels.filename import normalised
from cloister.protocol.wheels.image_packages import comments
from cloister.userfile import FilePath

if TYPE_CHECKING:
    from cloister.protocol.imagemanifest import ImageManifest

# uv knows no newer one; a wheel for 2.41 is found once uv does.
_UV_PLATFORM = "x86_64-manylinux_2_40"
_INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS")
_LONGEST = 600.0
_STUBS = "image-packages"
_HEAD = """\
# Locked for CPython {python} on x86-64 Linux with glibc 2.{glibc}, with the hashes of every file.
"""
_BLOCK = re.compile(
    r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?P<rest>(?:\[[^]\n]*\])?==[^\n]*\n(?:^[ \t].*\n?)*)", re.MULTILINE
)


class PackageLockError(InputError):
    """Requirements cannot be locked for the guest."""

    remedy = "Change the requirements, then run the command again."


@dataclass(frozen=True)
class PackageLock:
    """A lock that was written."""

    path: Path
    requirements: tuple[Requirement, ...]
    index_lines: tuple[str, ...]
    """The lines about indexes that were followed, without what may be secret."""
    image_packages: Mapping[str, str]
    """The packages that the image has: normalised name to version. They are in no bundle."""


def default_lock(requirements: Path) -> Path:
    """``requirements.lock`` beside ``requirements.txt``."""
    made = requirements.with_suffix(".lock")
    return made if made != requirements else requirements.with_name(f"{requirements.name}.lock")


def lock_requirements(
    requirements: FilePath,
    output: FilePath | None = None,
    *,
    upgrade: bool = False,
    image: "ImageManifest | None" = None,
) -> PackageLock:
    """Lock a requirements file for the guest, with uv.

    Args:
        requirements: a requirements file.
        output: the file of the lock; None for ``requirements.lock`` beside it. It is replaced when the new one is
            complete, and its versions are kept where the requirements allow them.
        upgrade: take the newest versions instead.
        image: the image that will run them. Its packages are taken where the requirements allow their versions.

    Returns:
        The lock.

    Raises:
        InputError: a line cannot be taken, or a file cannot be read or written.
        PackageLockError: uv is missing, or finds no versions with wheels for the guest.
    """
    requirements = Path(requirements)
    output = Path(output) if output is not None else None
    read = read_requirements(requirements)
    target = output or default_lock(requirements)
    try:
        place = userfile.destination(target)
        before = "" if upgrade or not place.exists() else place.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{target} cannot be replaced: {getattr(error, 'strerror', error)}.") from error
    stubs = Stubs({} if image is None else image.packages)
    resolved, counted = _without_stubs(_resolve(read, before, stubs), stubs)
    head = _HEAD.format(python=guest.PYTHON, glibc=guest.GLIBC_MINOR) + comments(counted)
    text = head + _with_given_hashes(read, resolved)
    made = parse_requirements(text, what=str(target)).locked()
    userfile.write_file(target, text.encode())
    return PackageLock(target, made, tuple(read.index_lines()), counted)


def _without_stubs(text: str, stubs: Stubs) -> tuple[str, dict[str, str]]:
    """A lock without the image's packages, and those."""
    counted: dict[str, str] = {}

    def kept(block: re.Match[str]) -> str:
        name = normalised(block["name"])
        found = re.match(r"==(\S+)", block["rest"])
        version = None if found is None else stubs.package(name, found[1])
        if version is None:
            return block[0]
        counted[name] = version
        return ""

    return _BLOCK.sub(kept, text), counted


def _resolve(read: Requirements, before: str, stubs: Stubs) -> str:
    """The text of uv's lock. What uv reads is written for it: only what is for the guest, in one file of UTF-8."""
    program = _uv()
    source = read.path.name
    with tempfile.TemporaryDirectory(prefix="cloister-lock-") as name:
        folder = Path(name)
        options = [f"{option} {value}".strip() for option, value in _indexes(read) if option != TRUSTED_HOST]
        if preferred := stubs.preferred():
            stubs.write(folder / _STUBS)
            options.append(f"--find-links {_STUBS}")
        _private(folder / source, [*options, *(str(one.specifier) for one in read.packages)])
        constraints = f"{source}.constraints"  # names that the file cannot have itself
        _private(folder / constraints, [str(one.specifier) for one in read.constraints])
        made = folder / f"{source}.made"
        if before or preferred:
            kept = _BLOCK.sub(lambda block: "" if stubs.has(normalised(block["name"])) else block[0], before)
            made.write_text(preferred + kept, encoding="utf-8")
        argv = [*program, "pip", "compile", "--quiet", "--no-progress", "--color", "never", "--generate-hashes"]
        argv += ["--python", sys.executable, "--python-version", guest.MARKERS["python_full_version"]]
        argv += ["--python-platform", _UV_PLATFORM, "--only-binary", ":all:", "--no-header"]
        argv += ["--index-strategy", "first-index", "--no-emit-index-url", "--no-emit-find-links"]
        argv += ["--no-emit-index-annotation", "--no-emit-build-options"]  # uv's configuration may ask for them
        if any(option == "--pre" for option, _ in read.index_options):
            argv += ["--prerelease", "allow"]
        for option, value in _indexes(read):
            argv += ["--allow-insecure-host", value] if option == TRUSTED_HOST else []
        argv += [f"--constraints={constraints}", f"--output-file={made.name}", "--", source]
        try:
            run(argv, cwd=folder, env=_environment(os.environ), timeout=_LONGEST)
        except ProcessError as error:
            raise _failure(read.path, error) from error
        return made.read_text(encoding="utf-8")


def _uv() -> list[str]:
    """The words that start uv. Raises PackageLockError."""
    if (found := shutil.which("uv")) is not None:
        return [found]
    if importlib.util.find_spec("uv") is not None:
        return module("uv")
    raise PackageLockError(
        "Requirements are locked with uv, which is not installed.", hint="Install it: pip install uv."
    )


def _private(path: Path, lines: Sequence[str]) -> None:
    path.touch(mode=0o600)  # an address may have a password
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _environment(own: Mapping[str, str]) -> dict[str, str]:
    """The environment for uv: the caller's, without what would change the lock's form, with pip's certificates."""
    kept = {name: value for name, value in own.items() if name not in ("UV_OUTPUT_FILE", "UV_CUSTOM_COMPILE_COMMAND")}
    if "PIP_CERT" in own:
        kept.setdefault("SSL_CERT_FILE", own["PIP_CERT"])
    return kept


def _indexes(read: Requirements) -> list[tuple[str, str]]:
    """Where to look: as the file says; without a word in it as uv is configured, else as pip is."""
    own = [one for one in read.index_options if one[0] in LOCATIONS]
    if any(name in ("--index-url", "--no-index") for name, _ in own) or any(map(os.environ.get, _INDEX_VARIABLES)):
        return own
    return [*own, *_pip_configuration()]


def _pip_configuration() -> list[tuple[str, str]]:
    """pip's own indexes: variables of the environment and configuration files."""
    if importlib.util.find_spec("pip") is None:
        return []
    listed = run([*module("pip"), "--disable-pip-version-check", "config", "list"], check=False)
    found: dict[str, str] = {}
    for line in listed.stdout.decode("utf-8", "replace").splitlines():
        name, _, quoted = line.partition("=")
        section, _, key = name.rpartition(".")
        if section in ("global", "download", "install", ":env:"):
            try:
                found[key] = str(ast.literal_eval(quoted))
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
    options: list[tuple[str, str]] = []
    if found.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        options.append(("--no-index", ""))
    for key in ("index-url", "extra-index-url", "find-links", "trusted-host"):
        for value in found.get(key, "").split():
            if key != "find-links" or "://" in value or Path(value).is_dir():
                options.append((f"--{key}", value))
    return options


def _failure(path: Path, error: ProcessError) -> PackageLockError:
    """uv's words, with the kind of the problem and the better package where one is known."""
    said = without_credentials(error.message)
    plain = " ".join(said.split())
    unbuilt = re.search(r"Wheels are required for `([^`]+)`", plain)
    alien = re.search(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:==\S+)? has no (?:usable )?wheels? with a matching", plain)
    sources = re.search(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:==\S+)? has no usable wheels", plain)
    name = next((found[1] for found in (unbuilt, sources, alien) if found is not None), "")
    advice = better.advice(normalised(name))
    if alien is not None:
        return PackageLockError(
            f"{path} cannot be locked: {name} has no wheel for CPython {guest.PYTHON} on x86-64 Linux.\n{said}",
            hint=advice or "Allow a version that has one.",
        )
    if name:
        return PackageLockError(
            f"{path} cannot be locked: {name} is published as source code only, and a bundle takes wheels.\n{said}",
            hint=advice
            or f"Allow a version with a wheel, or build one (pip wheel --no-deps {name} --wheel-dir wheels) and add "
            "the line --find-links wheels.",
        )
    return PackageLockError(f"{path} cannot be locked: {said}")


def _with_given_hashes(read: Requirements, text: str) -> str:
    """The lock, where a package that had hashes before keeps only those. Raises PackageLockError if none is left."""
    given: dict[str, set[str]] = {}
    for wanted in read.packages:
        if wanted.hashes:
            given.setdefault(wanted.package, set()).update(wanted.hashes)

    def kept(block: re.Match[str]) -> str:
        hashes = given.get(normalised(block["name"]))
        if hashes is None:
            return block[0]
        found = re.findall(r"--hash=sha256:([0-9a-f]{64})", block[0])
        both = [one for one in found if one in hashes]
        if not both:
            raise PackageLockError(
                f"{read.path}: no file of {block['name']} in the index has one of the hashes that the line names.",
                hint="Correct the hashes, or remove them to take those of the index.",
            )
        version = block["rest"].split()[0]
        lines = [f"{block['name']}{version}", *(f"    --hash=sha256:{one}" for one in both)]
        comments = [line for line in block["rest"].splitlines() if line.strip().startswith("#")]
        return " \\\n".join(lines) + "\n" + "".join(f"{line}\n" for line in comments)

    return _BLOCK.sub(kept, text)
