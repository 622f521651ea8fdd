"""Changes as lines for a terminal, as JSON, and as Markdown for a change request."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from image.audit.findings import Finding
from image.changes.compare import Changes
from image.changes.packages import PackageChange, SourceChange
from image.debian.changelog import ChangelogEntry

_SAME = "They are the same."
_SAME_IMAGE = "The image itself is the same; how it is signed for Secure Boot differs."
_MOST_LINES = 40


def to_dict(changes: Changes) -> dict[str, object]:
    """For JSON."""
    made = asdict(changes) | {"version": 1, "same": changes.none, "named": changes.named}
    made["vulnerabilities"] = None
    if (found := changes.vulnerabilities) is not None:
        made["vulnerabilities"] = {
            "fixed": [_finding(one) for one in found.fixed],
            "new": [_finding(one) for one in found.new],
            "open": [_finding(one) for one in found.open],
            "notes": list(found.notes),
        }
    return made


def _finding(one: Finding) -> dict[str, object]:
    return {
        "id": one.id,
        "component": one.component.name,
        "component_version": one.component.version,
        "package": one.component.package,
        "state": one.state.value,
        "fixed": one.fixed,
        "said": dict(one.said),
    }


def lines(changes: Changes) -> list[str]:
    """For a reader: a line for each change; none if nothing differs."""
    made = [f"{row.name}: index of {row.before or 'never'} -> {row.after or 'none'}" for row in changes.indexes]
    for package in changes.packages:
        made.append(f"{_package(package)}{_scripts(package)}")
        made += [f"    {line}" for script in package.scripts for line in script.lines]
    for source in changes.sources:
        made += [f"{line}" for line in _source(source)]
    made += [f"{row.name}: {row.before or 'none'} -> {row.after or 'none'}" for row in changes.statements]
    made += [f"{row.name}: {row.before or 'none'} -> {row.after or 'none'}" for row in changes.outputs]
    made += [f"{row.name}: {_size(row.before)} -> {_size(row.after)}" for row in changes.sizes]
    for one in changes.measurements:
        made.append(f"{one.name}: {one.before or 'none'} -> {one.after or 'none'}{_events(one.events)}")
    made += [change.line for change in changes.files]
    made += [f"{row.name}: {row.before or 'none'} -> {row.after or 'none'}" for row in changes.secure_boot]
    made += [_SAME_IMAGE] if changes.same_image and changes.secure_boot else []
    made += [f"{title}: {said}" for title, found in _vulnerabilities(changes) for said in found]
    if changes.vulnerabilities is not None:
        made += changes.vulnerabilities.notes
    return made if changes.same_image else [*made, *changes.notes]


def text(changes: Changes) -> str:
    """The lines, or a sentence if nothing differs."""
    return "\n".join(lines(changes) or [_SAME])


def markdown(changes: Changes, before: str, after: str) -> str:
    """For a change request: a heading for each kind of change that there is."""
    made = [f"# From {_code(before)} to {_code(after)}", ""]
    if not lines(changes):
        return "\n".join([*made, _SAME])
    made += _table("Indexes", ("archive", "before", "after"), [(r.name, r.before, r.after) for r in changes.indexes])
    made += _table(
        "Packages",
        ("package", "before", "after", "changed scripts"),
        [
            (_named(p), p.before or "none", p.after or "none", ", ".join(s.name for s in p.scripts))
            for p in changes.packages
        ],
    )
    for package in changes.packages:
        for script in package.scripts:
            if script.lines:
                made += [f"### The {script.name} of {_code(package.name)}", "", *_fenced(script.lines), ""]
    if changes.sources:
        made += ["## Changelogs", ""]
        for source in changes.sources:
            first, *rest = _source(source)
            made += [f"### {_code(first)}", "", *(_fenced(rest) if rest else ()), ""]
    if changes.vulnerabilities is not None:
        made += ["## Vulnerabilities", ""]
        made += [f"- {title}: {_code(said)}" for title, found in _vulnerabilities(changes) for said in found]
        made += [f"- {_code(note)}" for note in changes.vulnerabilities.notes]
        made.append("")
    elif changes.named:
        made += ["## Vulnerabilities", "", f"The changelogs name {', '.join(changes.named)}.", ""]
    rows = [(r.name, r.before, r.after) for r in (*changes.statements, *changes.outputs)]
    made += _table("Statements and outputs", ("what", "before", "after"), rows)
    made += _table(
        "Sizes", ("output", "before", "after"), [(r.name, _size(r.before), _size(r.after)) for r in changes.sizes]
    )
    made += _table(
        "Measurements",
        ("register", "before", "after", "changed events"),
        [(m.name, m.before, m.after, ", ".join(m.events)) for m in changes.measurements],
    )
    made += _table("Files", ("layer", "path", "change"), [(f.layer, f.path, f.how) for f in changes.files])
    rows = [(r.name, r.before, r.after) for r in changes.secure_boot]
    made += _table("Secure Boot", ("what", "before", "after"), rows)
    made += [f"{_SAME_IMAGE}\n"] if changes.same_image and changes.secure_boot else []
    made += [f"{note}\n" for note in (() if changes.same_image else changes.notes)]
    return "\n".join(made).rstrip("\n")


def _vulnerabilities(changes: Changes) -> Iterator[tuple[str, list[str]]]:
    found = changes.vulnerabilities
    if found is None:
        if changes.named:
            yield "named in changelogs", [", ".join(changes.named)]
        return
    yield "fixed", [f"{one.id} in {one.component.label}" for one in found.fixed]
    yield "new", [f"{one.id} in {one.component.label}" for one in found.new]
    # One in several packages of a source is named once.
    left: dict[str, dict[str, None]] = {}
    for one in found.open:
        left.setdefault(one.component.name, {})[one.id] = None
    yield "open", [f"{name}: {len(ids)} ({_few(list(ids))})" for name, ids in sorted(left.items())]


def _few(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _package(change: PackageChange) -> str:
    name = _named(change)
    if not change.before:
        return f"{name}: added, {change.after}"
    if not change.after:
        return f"{name}: removed, was {change.before}"
    if change.before == change.after:
        return f"{name}: same version, different bytes"
    return f"{name}: {change.before} -> {change.after}"


def _named(change: PackageChange) -> str:
    return change.name if change.kind == "package" else f"{change.kind} {change.name}"


def _scripts(change: PackageChange) -> str:
    names = ", ".join(script.name for script in change.scripts)
    return f" (changed scripts: {names})" if names else ""


def _source(change: SourceChange) -> list[str]:
    """A line about the source package, then its changelog as far as a reader wants it."""
    note = f" ({change.note})" if change.note else ""
    made = [f"changes of {change.name} {change.before or '?'} -> {change.after}, of {', '.join(change.packages)}{note}"]
    body = [f"    {line}" for entry in change.entries for line in _entry(entry)]
    more = [f"    ... and {len(body) - _MOST_LINES} more lines"] if len(body) > _MOST_LINES else []
    return [*made, *body[:_MOST_LINES], *more]


def _entry(entry: ChangelogEntry) -> list[str]:
    return [f"{entry.source} ({entry.version}), {entry.date}", *entry.lines]


def _events(names: tuple[str, ...]) -> str:
    return f" (changed events: {', '.join(names)})" if names else ""


def _size(size: int | None) -> str:
    return "none" if size is None else f"{size} bytes"


def _table(title: str, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    if not rows:
        return []
    made = [f"## {title}", "", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return [*made, *(f"| {' | '.join(_code(cell) for cell in row)} |" for row in rows), ""]


def _code(text: str) -> str:
    """Text as code, so that no name, path or address in it is Markdown, a mention or a link."""
    plain = text.replace("`", "'").replace("|", "\\|").replace("\n", " ")
    return f"`{plain}`" if plain else ""


def _fenced(lines: tuple[str, ...] | list[str]) -> list[str]:
    """Lines as a block of code; a longer fence than any in them."""
    longest = max((len(line) - len(line.lstrip("` ")) for line in lines), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}text", *lines, fence]
