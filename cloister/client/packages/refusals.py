"""Lines and files that cannot become a bundle: the kind of each, and the remedy."""

import re
import shlex
from pathlib import Path

from cloister.client.packages.addresses import without_credentials
from cloister.errors import InputError

_EXPORTS = {
    "pyproject.toml": "uv pip compile pyproject.toml -o requirements.txt, or your tool's export",
    "uv.lock": "uv export --no-emit-project --output-file requirements.txt",
    "pylock.toml": "uv export --no-emit-project --output-file requirements.txt",
    "poetry.lock": "poetry export --output requirements.txt",
    "pdm.lock": "pdm export --output requirements.txt",
    "pipfile": "pipenv requirements --hash > requirements.txt",
    "pipfile.lock": "pipenv requirements --hash > requirements.txt",
    "environment.yml": "pip list --format freeze > requirements.txt, in that environment",
    "environment.yaml": "pip list --format freeze > requirements.txt, in that environment",
    "conda-lock.yml": "pip list --format freeze > requirements.txt, in that environment",
    "setup.py": "a list of what the algorithm imports, in requirements.txt",
    "setup.cfg": "a list of what the algorithm imports, in requirements.txt",
}
_VCS = re.compile(r"(?:^|@\s*)(?:git|hg|svn|bzr)\+|\.git(?:@|#|$)")
_VCS_ADDRESS = re.compile(r"(?:git|hg|svn|bzr)\+\S+")
_NETWORK = re.compile(r"(?:^|@\s*)[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_LOCAL = re.compile(
    r"(?:^|@\s*)file:|^\.{0,2}[/\\]|^\.{1,2}$|^[A-Za-z]:[/\\]|^~|^[^\s;@<>=!~]+[/\\]"
    r"|\.(?:whl|zip|tar\.gz|tar\.bz2|tgz)$"
)
_BUILT = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*) ?(?:\[[^\]]*\] ?)?@ ?file:(?P<path>[^\s#?]*)\S*")
"""A package with the place where it was built."""

_CONDA = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)=(?P<version>[0-9][A-Za-z0-9.!+_]*)(?:=\S+)?")


def of_editable(line: str, where: str) -> InputError:
    """The refusal of an editable install."""
    modules = "name the project's own modules in algorithm.files."
    if (found := _VCS_ADDRESS.search(line)) is not None:
        return InputError(
            f"{where}: {without_credentials(line)[:120]!r} is an editable install of source code in a repository.",
            hint=f"{_wheel_of(found[0])} Or {modules}",
        )
    return InputError(
        f"{where}: {without_credentials(line)[:120]!r} is an editable install of a project on this machine.",
        hint=f"Remove the line (uv export: --no-emit-project); {modules}",
    )


def _wheel_of(address: str) -> str:
    """How to make a wheel of the source code at an address."""
    return (
        "Name a published version (name==version), or build a wheel: pip wheel --no-deps --wheel-dir wheels "
        f"{shlex.quote(without_credentials(address))}. Then name its version, and the folder wheels in PIP_FIND_LINKS."
    )


def of_text(text: str, where: str) -> InputError | None:
    """The refusal of a package that is not named by name and version; None if it is."""
    plain = text.partition(";")[0].strip()
    shown = f"{without_credentials(text).partition(';')[0].strip()[:120]!r}"
    if _VCS.search(plain):
        found = _VCS_ADDRESS.search(plain)
        return InputError(
            f"{where}: {shown} is source code in a repository.",
            hint=_wheel_of(found[0] if found is not None else plain.rpartition("@ ")[2]),
        )
    if (built := _BUILT.fullmatch(" ".join(plain.split()))) is not None:
        return _built(built["name"], built["path"], f"{where}: {shown}")
    if re.search(r"(?:^|@\s*)file:", plain) or (_LOCAL.search(plain) and not _NETWORK.search(plain)):
        return InputError(
            f"{where}: {shown} is a file or folder on this machine.",
            hint="Name the package (name==version), and the folder of its wheel in PIP_FIND_LINKS.",
        )
    if _NETWORK.search(plain):
        return InputError(
            f"{where}: {shown} is an address of a file.",
            hint="Name the package (name==version) with the file's hash, and its index in pip's configuration.",
        )
    if (conda := _CONDA.fullmatch(plain)) is not None:
        return InputError(
            f"{where}: {shown} is written as conda writes it.",
            hint=f"Write {conda['name']}=={conda['version']}.",
        )
    return None


def _built(name: str, path: str, shown: str) -> InputError:
    """The refusal of what pip freeze writes for a package that conda has installed, or that was built from a folder."""
    parts = path.rpartition("/")[2].split("-")
    version = parts[1] if parts[-1].endswith(".whl") and len(parts) > 4 else "VERSION"
    return InputError(
        f"{shown} names the place where {name} was built, as `pip freeze` does in environments of conda.",
        hint=f"Write {name}=={version}; `pip list --format freeze` in that environment lists all packages with their "
        "versions. A wheel of your own is found by name and version in the folder that PIP_FIND_LINKS names.",
    )


def of_file(path: Path) -> InputError | None:
    """The refusal of a file that other tools read; None if it may have requirements."""
    if (remedy := _EXPORTS.get(path.name.lower())) is not None:
        return InputError(f"{path} is not a requirements file.", hint=f"Make one: {remedy}.")
    return None
