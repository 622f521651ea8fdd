"""The text of ``docs/errors.md``."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cloister.client.connection import refusal
from tasks import namespace
from tools.errors_page.call_graph import CallGraph
from tools.errors_page.sites import ROOT, ErrorSite, ErrorSources
from tools.errors_page.syntax import says_something

PAGE = ROOT / "docs" / "errors.md"

_AGENT = "agent_runtime"
_TRANSLATION = "cloister.client.connection.refusal.translate"
"""What turns an agent's refusal into an error of the verb."""

_HEAD = """\
# Errors

Generated from the source by `python -m tools.errors_page`; do not edit.

A verb that fails prints `Error:`, the message, and what to do about it, and ends with an exit code
([verbs.md](verbs.md)). This page lists all messages by the part of Cloister they come from. Words in angle
brackets stand for values. An error that only adds a file name to another error's message is not listed again.

"""


@dataclass(frozen=True)
class PageSection:
    """A part of the page: the errors of all modules below ``rooms`` that no other section names more exactly."""

    title: str
    rooms: tuple[str, ...]


SECTIONS = (
    PageSection("Options", ("cloister.cli",)),
    PageSection("Keys and descriptors", ("cloister.client.files", "cloister.keyfile")),
    PageSection("Connection", ("cloister.client.connection", "cloister.endpoint")),
    PageSection("Evidence files and policies", ("cloister.client.evidence",)),
    PageSection("Collateral", ("cloister.client.collateral",)),
    PageSection("Manifests, assets and events", ("cloister.client.computation",)),
    PageSection("Results and audits", ("cloister.client.result",)),
    PageSection("Documents and sealed calls", ("cloister.protocol",)),
    PageSection("Attestation", ("cloister.attestation",)),
    PageSection("Programs and other parts of the client", ("cloister",)),
    PageSection("Agent", (_AGENT,)),
    PageSection("Recipes, locks and downloads", ("image.inputs",)),
    PageSection("Debian packages", ("image.debian",)),
    PageSection("Root file system", ("image.rootfs",)),
    PageSection("File formats", ("image.formats",)),
    PageSection("Publishing images", ("image.publish",)),
    PageSection("Building images", ("image",)),
    PageSection("Configuration of workspaces", ("infra.configuration",)),
    PageSection("Pulumi", ("infra.pulumi_cli",)),
    PageSection("Registries", ("infra.registry",)),
    PageSection("Local CVMs", ("infra.provider",)),
    PageSection("Workspaces", ("infra",)),
    PageSection("Demo", ("examples",)),
    PageSection("Benchmarks", ("benchmarks",)),
    PageSection("Development tools", ("tools",)),
)


@dataclass(frozen=True, order=True)
class Row:
    """A line of a table."""

    cause: str
    remedy: str
    exit_code: int


def section_of(module: str) -> PageSection:
    """The section with the longest room that holds the module."""
    fitting = [
        (len(room), section)
        for section in SECTIONS
        for room in section.rooms
        if module == room or module.startswith(f"{room}.")
    ]
    return max(fitting, key=lambda one: one[0])[1]


def is_refusal(site: ErrorSite) -> bool:
    """Whether an agent answers a call with the error."""
    return bool(site.reason)


def row(sources: ErrorSources, site: ErrorSite) -> Row | None:
    """The row of an error; None when the error only repeats another one's message."""
    if not says_something(site.message):
        return None
    if is_refusal(site):
        hint, code = refusal.remedy(site.reason)
        return Row(site.message, hint, code)
    hint = site.hint if says_something(site.hint) else str(sources.attribute(site.error, "remedy"))
    return Row(site.message, hint, site.exit_code)


def rows(sources: ErrorSources) -> dict[PageSection, list[tuple[Row, str]]]:
    """The rows of each section, sorted; each with its reason when it is a refusal."""
    found: dict[PageSection, set[tuple[Row, str]]] = {}
    for site in sources.sites:
        if (one := row(sources, site)) is not None:
            found.setdefault(section_of(site.module), set()).add((one, site.reason))
    return {
        section: sorted(found[section], key=lambda one: (one[1], one[0])) for section in SECTIONS if section in found
    }


def verbs() -> dict[str, str]:
    """Every verb of a checkout, with the dotted name of its function."""
    found = {}
    for name in sorted(namespace.task_names):
        body: Any = namespace[name].body
        found[name] = f"{body.__module__}.{body.__name__}"
    return found


def page(sources: ErrorSources) -> str:
    """The whole page, ending in a newline."""
    listed = rows(sources)
    parts = [_HEAD, "## Verbs\n\n", *_verb_table(sources)]
    for section, entries in listed.items():
        folders = ", ".join(f"`{room.replace('.', '/')}`" for room in section.rooms)
        parts.append(f"\n## {section.title}\n\nRaised in {folders}.\n\n")
        parts += _agent_tables(entries) if section.rooms == (_AGENT,) else _table(entries)
    return "".join(parts)


def _verb_table(sources: ErrorSources) -> Iterator[str]:
    reach = CallGraph(sources.modules)
    listed = {site: one for site in sources.sites if (one := row(sources, site)) is not None}
    homes = {site: reach.home(site.module, site.line) for site in listed}
    yield "Every verb may also end with 0 (done) and 130 (interrupted with Ctrl-C).\n\n"
    yield "| verb | other exit codes | errors |\n|---|---|---|\n"
    for verb, function in verbs().items():
        reached = reach.from_(function)
        remote = _TRANSLATION in reached
        mine = [(site, one) for site, one in listed.items() if homes[site] in reached or (remote and is_refusal(site))]
        codes = sorted({one.exit_code for _, one in mine})
        titles = {section_of(site.module) for site, _ in mine}
        links = [f"[{section.title}](#{_anchor(section.title)})" for section in SECTIONS if section in titles]
        yield f"| `{verb}` | {', '.join(map(str, codes))} | {', '.join(links)} |\n"


def _table(entries: Sequence[tuple[Row, str]]) -> Iterator[str]:
    yield "| message | what to do | exit code |\n|---|---|---|\n"
    for one, _ in entries:
        yield f"| {_cell(one.cause)} | {_cell(one.remedy)} | {one.exit_code} |\n"


def _agent_tables(entries: Sequence[tuple[Row, str]]) -> Iterator[str]:
    yield "The agent refuses a call with one of these messages; the party's verb shows it.\n\n"
    yield "| reason | message | what to do | exit code |\n|---|---|---|---|\n"
    for one, reason in entries:
        if reason:
            yield f"| `{reason}` | {_cell(one.cause)} | {_cell(one.remedy)} | {one.exit_code} |\n"
    yield "\nThese messages are printed on the console of the CVM, or end a run with the state `Failed`.\n\n"
    yield from _table([entry for entry in entries if not entry[1]])


def _cell(text: str) -> str:
    """``text`` for a cell of a Markdown table. Between backticks, only the table's own character is escaped."""
    parts = text.split("`")
    escaped = [re.sub(r"[|]" if number % 2 else r"[\\<*_|]", r"\\\g<0>", part) for number, part in enumerate(parts)]
    return "`".join(escaped)


def _anchor(title: str) -> str:
    return "".join(char for char in title.lower().replace(" ", "-") if char.isalnum() or char == "-")
