"""Addresses as they may be shown: without what may be secret in them.

That is user, password, query, fragment, and each part of a path that is not a word of many indexes: services that give
each customer an address have the token there.
"""

import re

_USER = re.compile(
    r"(?<=//)(?:[^/?#\s]*@"
    r"|[^/?#\s@:]*:(?![0-9]*(?:[/?#\s\"'`<>)\]},;]|\Z))\S*@)"  # a password that has a / itself: no port
)
_QUERY = re.compile(r"[?#][^\"'`<>]+")
_ADDRESS = re.compile(
    r"(?P<start>(?:(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]*:|(?<![\w/:]))//[^/?#\s\"'`<>]*)(?P<path>/[^?#\s\"'`<>]*)"
)
_PART = re.compile(r"(?P<name>[^/]*?)(?P<end>[)\]},;:.]*)")
_FILE = re.compile(r"[\w.+-]+\.(?:whl|whl\.metadata|tar\.gz|tar\.bz2|tgz|zip|html)", re.ASCII)
_PLAIN = re.compile(
    r"\+simple|-|_packaging|api|artifactory|content|cpu|cu[0-9]{2,3}|dist|downloads?|files|index|links|local|nexus"
    r"|packages?|pip|pypi(?:-local|-public|-remote)?|python|releases|repo|repository|rocm[0-9.]{1,8}|root|simple|stable"
    r"|v[0-9]|wheels|whl",
    re.IGNORECASE,
)
"""Parts of paths that may be shown."""


def without_credentials(text: str) -> str:
    """The text with ``***`` in place of what may be secret in its addresses.

    The path of source code in a repository (``git+https:``) and of a local file (``file:``) is shown.
    """
    return re.sub(r"\S+", lambda word: _without_credentials(word[0]), text)


def _without_credentials(word: str) -> str:
    if "//" not in word and ":/" not in word:
        return word
    shown = _USER.sub("***@", word) if "@" in word else word
    start = min((at for at in (shown.find("//"), shown.find(":/")) if at >= 0), default=len(shown))
    shown = shown[:start] + _QUERY.sub(lambda found: f"{found[0][0]}***", shown[start:], count=1)
    return _ADDRESS.sub(_without_path, shown)


def _without_path(found: re.Match[str]) -> str:
    """An address of which the path has well-known words only."""
    scheme = found["start"].partition("//")[0].lower()
    if scheme == "file:" or "+" in scheme:
        return found[0]
    return found["start"] + "/".join(map(_part, found["path"].split("/")))


def _part(part: str) -> str:
    split = _PART.fullmatch(part)
    name, end = (part, "") if split is None else (split["name"], split["end"])
    plain = not name or _PLAIN.fullmatch(name) or _FILE.fullmatch(name)
    return part if plain else f"***{end}"


def index_line(name: str, value: str) -> str:
    """A line about an index, as it may be shown: an address without a scheme may have a password, too."""
    shown = value if "//" in value else re.sub(r"\A.*@", "***@", value)
    shown = re.sub(r"\A([^?#]*[?#]).+", r"\1***", shown)
    if "//" not in shown and name in ("--index-url", "--extra-index-url", "--pypi-url"):
        shown = without_credentials(f"//{shown}").removeprefix("//")
    return f"{name} {without_credentials(shown)}".strip()
