"""The review of a manifest: what a party agrees to with it, in plain words."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cloister.client.html.fragment import fragment
from cloister.client.html.parts import Sentences, one_line
from cloister.protocol import names
from cloister.protocol.manifest import Asset, Manifest
from cloister.protocol.placement import WORK
from cloister.protocol.signingkey import key_id
from cloister.units import format_duration, format_size

_KINDS = {
    "python": "It is a Python program: you can read what it does before you agree.",
    "binary": "It is a compiled program: what it does cannot be read from it. Ask for its source and how to build it.",
    "wasm": "It is a WebAssembly module: compiled, so what it does cannot be read from it. It can open files in its "
    "folders, and nothing else.",
    "oci": "It is an image of a container: files and programs of its own run instead of the machine's. What they do "
    "cannot be read from it: ask for its Dockerfile and how to build it.",
}
"""What each kind means for someone who agrees to it."""

_ROLLBACK = (
    "The host can put back an older state of what the program writes, and no one notices: it is on the scratch disk "
    "(limits.scratch), and the result is read from there."
)


@dataclass(frozen=True)
class ReviewSection:
    """A heading and its sentences. ``warning`` is true for what the reader should think about."""

    title: str
    lines: tuple[str, ...]
    warning: bool = False

    def value(self) -> dict[str, Any]:
        """The JSON value."""
        return {"title": self.title, "lines": list(self.lines), "warning": self.warning}


class ManifestReview(tuple[ReviewSection, ...]):
    """The sections of a review, in reading order."""

    __slots__ = ()

    def lines(self) -> Iterator[str]:
        """The review for reading: titles and sentences, an empty line after each section."""
        for section in self:
            yield section.title
            yield from (f"  {'! ' if section.warning else ''}{line}" for line in section.lines)
            yield ""

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def __repr__(self) -> str:
        return one_line(f"ManifestReview of {len(self)} sections: print it to read it")

    def _repr_html_(self) -> str:
        parts = [Sentences(one.lines, one.title, one.warning) for one in self]
        return fragment("What you agree to with this manifest", *parts)


def review_manifest(manifest: Manifest, reader: bytes | None = None) -> ManifestReview:
    """Describe in plain words what a party agrees to with a manifest.

    Args:
        manifest: the manifest.
        reader: the reader's public key (SPKI), to mark the party that is "you"; None for no party.

    Returns:
        The sections, in reading order.
    """
    sections = (
        ReviewSection("What it is", tuple(_what(manifest))),
        ReviewSection("Who takes part", tuple(_parties(manifest, reader))),
        ReviewSection("What each provides", tuple(_assets(manifest))),
        ReviewSection("What runs", tuple(_algorithm(manifest))),
        ReviewSection("Who receives what", tuple(_results(manifest))),
        ReviewSection("Limits", tuple(_limits(manifest))),
        ReviewSection("What to think about", tuple(_concerns(manifest)), warning=True),
    )
    return ManifestReview(sections)


def rollback(manifest: Manifest) -> str:
    """What the host may put back unnoticed under this manifest, as a sentence; empty if nothing."""
    return _ROLLBACK if manifest.limits.scratch else ""


def _what(manifest: Manifest) -> Iterator[str]:
    yield f"{manifest.name}: {manifest.description or 'no description'}"
    yield f"Manifest digest {manifest.digest().hex()}. All parties must see this same digest."


def _parties(manifest: Manifest, reader: bytes | None) -> Iterator[str]:
    for name, key in sorted(manifest.parties.items()):
        you = " (this is you)" if key == reader else ""
        yield f"{name}{you}: key {key_id(key)}"
    if reader is not None and reader not in manifest.parties.values():
        yield f"Your key {key_id(reader)} is not one of them."
    yield "Compare each key's fingerprint with what its holder tells you over another channel, such as the phone."


def _assets(manifest: Manifest) -> Iterator[str]:
    for asset in manifest.assets():
        size = format_size(asset.size)
        yield f"{asset.provider} provides {_named(asset)}: {names.shown(asset.file)}, {size}, SHA-256 {asset.digest}"


def _named(asset: Asset) -> str:
    if asset.kind == "file":
        return f"the file {asset.name}, read-only at {_place(asset)}"
    if asset.kind != "dataset":
        return "the algorithm" if asset.kind == "algorithm" else "the algorithm's packages"
    unpacked = f" (unpacked: {format_size(asset.unpacked_size)})" if asset.unpack else ""
    return f"the dataset {asset.name}{unpacked}"


def _algorithm(manifest: Manifest) -> Iterator[str]:
    algorithm = manifest.algorithm
    words = " ".join([names.shown(algorithm.asset.file), *(_word(word) for word in algorithm.args)])
    yield f"{algorithm.asset.provider}'s program ({algorithm.kind}) runs as: {words}"
    yield _KINDS[algorithm.kind]
    if algorithm.container is not None:
        size = format_size(algorithm.container.unpacked_size)
        where = f"Unpacked it takes {size} of the machine's memory, or of its scratch disk."
        yield f"The image is sha256:{algorithm.container.digest}. {where}"
    for name, value in sorted(algorithm.environment.items()):
        yield f"with {name}={value}"
    if algorithm.files:
        yield "It reads these files as part of the program: " + _list([_place(one) for one in algorithm.files])
    if algorithm.image_packages:
        packages = _list([f"{name} {version}" for name, version in sorted(algorithm.image_packages.items())])
        yield f"It counts on these packages of the machine's image; a machine without them refuses it: {packages}."
    sees = {0: "It sees no dataset", 1: "It sees the dataset"}.get(len(manifest.datasets), "It sees all datasets")
    yield f"{sees} and has no network. Only its result folder leaves the machine" + (
        ", and what it prints." if manifest.logs.readers and manifest.logs.max_size else "."
    )


def _place(file: Asset) -> str:
    return names.shown(f"{WORK}/{file.at}")


def _word(word: str) -> str:
    """An argument; in quotes if it is unclear where it begins and ends, or what is in it."""
    plain = word.isascii() and word and not any(char in word for char in " \"'\\")
    return word if plain else names.shown(word)


def _results(manifest: Manifest) -> Iterator[str]:
    results, logs = manifest.results, manifest.logs
    recipients = results.recipients
    receive = "receives the result, once," if len(recipients) == 1 else "receive the result, once each,"
    yield (
        f"{_list(recipients)} {receive} "
        f"at most {format_size(results.max_size)}, within {format_duration(results.expires)} after it is ready."
    )
    yield from _approval(manifest)
    if logs.readers and logs.max_size:
        when = "while it runs" if logs.release == "live" else "after it has ended"
        when = "after the result is approved" if results.approval is not None else when
        yield f"{_list(logs.readers)} may read what the program prints, at most {format_size(logs.max_size)}, {when}."
    else:
        yield "No one can read what the program prints."


def _approval(manifest: Manifest) -> Iterator[str]:
    """Who must approve, what each sees before, and what becomes of a result that is not approved."""
    results = manifest.results
    if results.approval is None:
        return
    who, one = _list(results.approvers), len(results.approvers) == 1
    yield f"{who} must approve the result before anyone else receives it{'' if one else '; all of them must'}."
    if results.approval.sees == "files":
        yield f"{who} receive{'s' if one else ''} the whole result before that: {_may_refuse(one)}."
    else:
        yield f"{who} see{'s' if one else ''} names and sizes of its files before that, and nothing else of it."
    yield (
        f"A rejection, or no decision within {format_duration(results.expires)} after the result is ready, "
        "wipes everything. An approval cannot be taken back."
    )


def _may_refuse(one: bool) -> str:
    return f"{'it' if one else 'each of them'} may read it first and refuse it to others"


def _limits(manifest: Manifest) -> Iterator[str]:
    limits = manifest.limits
    yield (
        f"At most {format_duration(limits.time)}, {format_size(limits.memory)} of memory, "
        f"{limits.cpus} CPU{'' if limits.cpus == 1 else 's'}, {limits.processes} processes."
    )
    if limits.scratch:
        yield f"What the program writes is on the scratch disk, encrypted, at most {format_size(limits.scratch)}."


def _concerns(manifest: Manifest) -> Iterator[str]:
    """What can leave, and to whom: only the size limits bound an algorithm that tries to leak data."""
    author = manifest.algorithm.asset.provider
    if author in manifest.results.consumers:
        yield f"{author} wrote the algorithm and receives the result."
    yield from _approvers_concerns(manifest)
    yield from _capacity(manifest, manifest.results.max_size, "the result")
    if manifest.logs.readers and manifest.logs.max_size:
        yield from _capacity(manifest, manifest.logs.max_size, "the log")
    yield "Every consumer can keep the result, pass it on and study it: read the algorithm before you agree."
    if said := rollback(manifest):
        yield said
    providers = sorted({asset.provider for asset in manifest.assets()})
    yield (
        f"{_list(providers, 'or')} can end the computation with `withdraw` until someone has a result. "
        "Everything of all parties is wiped then."
    )
    yield "The host sees how long the program runs and how much memory it uses, and sets the clock."
    if manifest.logs.readers and manifest.logs.max_size and manifest.logs.release == "live":
        yield "While someone follows the log, the network sees when the program prints and how much, but not what."


def _approvers_concerns(manifest: Manifest) -> Iterator[str]:
    results, author = manifest.results, manifest.algorithm.asset.provider
    if author in results.approvers:
        yield f"{author} wrote the algorithm and decides whether its result is released."
    if results.approval is not None and results.approval.sees == "names":
        yield (
            f"The names of the result's files can hold {format_size(names.RESULT_NAMES)} of data, and "
            f"{_list(results.approvers)} see{'s' if len(results.approvers) == 1 else ''} them before anyone approves."
        )
    if results.approval is not None and manifest.logs.readers and manifest.logs.max_size:
        unseen = [name for name in results.approvers if name not in manifest.logs.readers]
        if unseen:
            yield f"An approval releases what the program prints, too, which {_list(unseen)} will not have read."


def _capacity(manifest: Manifest, limit: int, where: str) -> Iterator[str]:
    fitting = [data.name for data in manifest.datasets if max(data.size, data.unpacked_size) <= limit]
    others = [data.name for data in manifest.datasets if data.name not in fitting]
    if fitting:
        yield f"{format_size(limit)} of {where} can hold all of {_list(fitting)}."
    if others:
        yield f"{format_size(limit)} of {where} can hold a part of {_list(others)}."


def _list(names: list[str] | tuple[str, ...], word: str = "and") -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {word} {names[-1]}"
