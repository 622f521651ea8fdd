"""Explains why pip found no wheel of a package for the guest, from pip's messages."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from cloister.client.packages import better
from cloister.client.packages.addresses import without_credentials
from cloister.client.packages.requirements import Requirement
from cloister.process import run
from cloister.protocol import guest
from cloister.protocol.wheels.filename import normalised

_NOT_FOUND = re.compile(r"No matching distribution found for ([A-Za-z0-9][A-Za-z0-9._-]*)==")
_OTHER_HASH = re.compile(r"DO NOT MATCH THE HASHES.*?^\s+([A-Za-z0-9][A-Za-z0-9._-]*)==", re.DOTALL | re.MULTILINE)
_SKIPPED = re.compile(r"Skipping link: .*?((?:https?|file):\S+)")
_PLATFORM = f"CPython {guest.PYTHON} on x86-64 Linux"


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong, and what to do."""

    message: str
    hint: str


def of_download(
    said: str, requirements: Sequence[Requirement], index_options: Sequence[str], argv: Sequence[str], folder: Path
) -> Diagnosis:
    """Return why a download with pip's words ``argv`` failed, from what pip ``said``, and says of the package alone."""
    said = without_credentials(said)
    other = _OTHER_HASH.search(said)
    if other is not None:
        return Diagnosis(
            f"{other[1]}: the wheel for {_PLATFORM} has a hash that is not locked; perhaps the file was locked for "
            "another system.",
            f"Lock it for the guest with `lock`. {better.advice(normalised(other[1]))}".rstrip(),
        )
    named = _NOT_FOUND.search(said)
    wanted = [one for one in requirements if named is not None and normalised(one.name) == normalised(named[1])]
    if not wanted:
        names = ", ".join(requirement.name for requirement in requirements[:5])
        more = f" and {len(requirements) - 5} more" if len(requirements) > 5 else ""
        return Diagnosis(f"pip could not download {names}{more}: {said}", "Look at pip's words and its configuration.")
    (package,) = wanted[:1]
    question = folder / "question.txt"
    question.touch(mode=0o600)
    question.write_text("".join(f"{line}\n" for line in (*index_options, package.line())), encoding="utf-8")
    log = run([*argv, "-vv", "--requirement", str(question)], check=False)
    text = (log.stdout + log.stderr).decode("utf-8", "replace")
    return of_package(package, [unquote(link.partition("#")[0]) for link in _SKIPPED.findall(text)])


def of_package(package: Requirement, links: Sequence[str]) -> Diagnosis:
    """Return why there is no wheel of a package, from the files of it that pip found and did not take."""
    files = [name for name in (link.rpartition("/")[2] for link in links) if _is_of(name, package)]
    what = f"{package.name} {package.version}"
    advice = better.advice(normalised(package.name))
    if any(name.endswith(".whl") for name in files):
        return Diagnosis(
            f"{what} has wheels for other systems or Pythons, and none for {_PLATFORM}.",
            advice or "Take a version that has one, and `lock` again.",
        )
    if files:
        return Diagnosis(
            f"{what} is published as source code only, and a bundle takes wheels.",
            advice
            or f"Take a version with a wheel, or build one on {_PLATFORM}: pip wheel --no-deps "
            f"{package.name}=={package.version} --wheel-dir wheels. Then lock with --find-links wheels in the file, "
            "and set PIP_FIND_LINKS to that folder.",
        )
    return Diagnosis(
        f"{what} was not found with one of its locked hashes in any index that pip's configuration names.",
        "Name the index in PIP_EXTRA_INDEX_URL or pip's configuration file, or `lock` again.",
    )


def _is_of(file: str, package: Requirement) -> bool:
    """Whether a file of an index is of this version."""
    stem = re.sub(r"\.(?:whl|tar\.gz|tar\.bz2|tgz|zip)$", "", file)
    name, version = normalised(package.name), package.version
    if file.endswith(".whl"):
        parts = stem.split("-")
        return normalised(parts[0]) == name and parts[1:2] == [version]
    return stem.endswith(f"-{version}") and normalised(stem.removesuffix(f"-{version}")) == name
