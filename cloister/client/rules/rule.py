"""A standing rule: the computations to which a provider consents in advance, how often and until when.

A rule has what a manifest says of everything that decides what happens to the provider's data. What it does not name
does not match.
"""

import datetime
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml

from cloister import userfile
from cloister.attestation.policy.policy import Policy
from cloister.client.files import document_type
from cloister.client.files.differences import differences
from cloister.errors import InputError
from cloister.protocol import canonical, schema
from cloister.protocol.document import MAX_SIZE, Document
from cloister.protocol.manifest import Asset, Manifest
from cloister.protocol.signingkey import key_id
from cloister.userfile import FilePath

_COMPARED = ("algorithm", "results", "logs", "limits")
"""Members that a rule has as the manifest has them."""

_OTHERS = ("provider", "file", "unpack")
"""What a rule must say of each dataset of another provider. It may also fix digest and sizes."""

_KNOWN = {"version", "id", "name", "description", "parties", "datasets", *_COMPARED}
"""The members of a manifest: those that are compared, and those that decide nothing."""


@dataclass(frozen=True)
class StandingRule:
    """``value`` is the document. The paths of its datasets begin at the folder of ``path``."""

    path: Path
    value: Mapping[str, Any]

    @classmethod
    def load(cls, path: FilePath) -> Self:
        """The rule at ``path``. Raises InputError."""
        path = Path(path)
        try:
            data = userfile.read(path, MAX_SIZE)
        except OSError as error:
            raise userfile.unreadable(path, error, missing="`rule` writes one.") from error
        if found := document_type.of(data):
            raise InputError(f"{path} is {found}, not a standing rule.", hint="`rule` writes one.")
        document = Document.parse(str(path), data)
        schema.validate("rule", document.value, what=str(path))
        made = cls(path, document.value)
        made.until()
        return made

    @property
    def uses(self) -> int:
        """How many computations it permits."""
        return int(self.value["uses"])

    def until(self) -> datetime.date:
        """The last day on which it permits any, in UTC. Raises InputError."""
        last = _day(self.value["until"])
        if last is None:
            raise InputError(f"{self.path}: until must be a day like 2026-01-31.")
        return last

    def digest(self) -> bytes:
        """SHA-256 of what it says: a changed rule is another one."""
        return hashlib.sha256(canonical.encode(self.value)).digest()

    def dataset_path(self, asset: Asset) -> Path:
        """Where the provider has a dataset: as the rule says, from its own folder on."""
        (own,) = [one for one in self.value["datasets"] if one["name"] == asset.name]
        return self.path.parent / own["path"]

    def require(self, manifest: Manifest, key: bytes, policy: Policy, today: datetime.date) -> tuple[Asset, ...]:
        """The provider's datasets, if the rule permits this computation. Raises InputError with every difference."""
        if today > self.until():
            raise InputError(
                f"{self.path} has ended: it was valid until {self.until()}.",
                hint="Read the manifest with `review`; `rule` writes a new rule.",
            )
        own = _own(manifest, key)
        found = list(self._differences(manifest, own, policy))
        if found:
            raise InputError(
                f"{self.path} does not permit this computation. " + " ".join(found),
                hint="Read the manifest with `review`. If you agree, use `upload-data`, or write a rule for it.",
            )
        return own

    def _differences(self, manifest: Manifest, own: tuple[Asset, ...], policy: Policy) -> Iterator[str]:
        """A sentence for each difference."""
        yield from (f"{name}: nothing in the rule, something here." for name in manifest.value().keys() - _KNOWN)
        expected = dict(self.value)
        found = members(manifest, own)
        for name in ("datasets", "others"):
            listed = {one["name"]: one for one in expected[name]}
            if len(listed) != len(expected[name]):
                yield f"{name} names a dataset twice."
            there = {one["name"]: one for one in found[name]}
            for one, said in listed.items():
                if name == "others" and one in there:
                    there[one] = {member: there[one][member] for member in there[one] if member in (*_OTHERS, *said)}
                if name == "datasets":
                    listed[one] = {member: value for member, value in said.items() if member != "path"}
            expected[name], found[name] = listed, there
        found |= {"policy": policy.digest().hex(), "workspace": policy.boot_configuration.workspace}
        compared = (*_COMPARED, "parties", "datasets", "others", "policy", "workspace")
        wanted, given = ({name: value[name] for name in compared} for value in (expected, found))
        for one in differences(wanted, given):
            yield f"{one.place}: {one.before} in the rule, {one.after} here."


def members(manifest: Manifest, own: tuple[Asset, ...]) -> dict[str, Any]:
    """What a rule has of a manifest, for the provider of the datasets ``own``."""
    value = manifest.value()
    names = {asset.name for asset in own}
    return {
        **{name: value[name] for name in _COMPARED},
        "parties": {name: key_id(key) for name, key in manifest.parties.items()},
        "datasets": [
            {member: part for member, part in one.items() if member != "provider"}
            for one in value["datasets"]
            if one["name"] in names
        ],
        "others": [one for one in value["datasets"] if one["name"] not in names],
    }


def compose_rule(
    manifest: Manifest, key: bytes, policy: Policy, *, uses: int, until: datetime.date, paths: Mapping[str, str]
) -> dict[str, Any]:
    """The rule that permits computations like that of ``manifest``, with other datasets of the other providers.

    ``paths`` are those of the provider's datasets, by name. Raises InputError.
    """
    own = _own(manifest, key)
    if unknown := sorted(paths.keys() - {asset.name for asset in own}):
        raise InputError(
            f"--data names {', '.join(unknown)}; your datasets in the manifest are: "
            f"{', '.join(asset.name for asset in own)}."
        )
    made = members(manifest, own)
    made["datasets"] = [{**one, "path": paths.get(one["name"], one["file"])} for one in made["datasets"]]
    made["others"] = [{member: one[member] for member in ("name", *_OTHERS)} for one in made["others"]]
    value = {
        "version": 1,
        "until": until.isoformat(),
        "uses": uses,
        "workspace": policy.boot_configuration.workspace,
        "policy": policy.digest().hex(),
        **made,
    }
    schema.validate("rule", value, what="The rule")
    return value


def write_rule(
    path: FilePath, manifest: Manifest, key: bytes, policy: Policy, *, uses: int, until: str, paths: Mapping[str, str]
) -> StandingRule:
    """Write the rule that permits computations like one that the provider has reviewed.

    Args:
        path: the file of the rule; never overwritten.
        manifest: the manifest of that computation.
        key: the provider's public key (SPKI).
        policy: the provider's policy: the rule permits machines that this one accepts.
        uses: how many computations it permits.
        until: the last day on which it permits any, in UTC.
        paths: where the provider's datasets are, by name, from the rule's folder on; by default their files' names.

    Returns:
        The rule.

    Raises:
        InputError: the key provides no dataset, a value is invalid, or the file exists or cannot be written.
    """
    path = Path(path)
    last = _day(until)
    if last is None:
        raise InputError(f"--until must be a day like 2026-01-31, not {until!r}.")
    value = compose_rule(manifest, key, policy, uses=uses, until=last, paths=paths)
    made = yaml.dump(value, Dumper=_Quoting, sort_keys=False, allow_unicode=True, width=1 << 20)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        userfile.write_new(path, made.encode())
    except FileExistsError as error:
        raise userfile.occupied(path, "a rule is not overwritten", "Name another file with --output.") from error
    except OSError as error:
        raise userfile.unwritable(path, error) from error
    return StandingRule.load(path)


class _Quoting(yaml.SafeDumper):
    """Puts all text in quotes: other versions of YAML take some of it for numbers."""


_Quoting.add_representer(str, lambda dumper, said: dumper.represent_scalar("tag:yaml.org,2002:str", said, style='"'))


def _own(manifest: Manifest, key: bytes) -> tuple[Asset, ...]:
    """The datasets of this key. Raises InputError if it has no datasets."""
    names = manifest.names(key)
    if own := tuple(data for data in manifest.datasets if data.provider in names):
        return own
    raise InputError(
        "Your key provides no dataset in this manifest.",
        hint="Name another key with --key. A standing rule is for datasets.",
    )


def _day(said: str) -> datetime.date | None:
    try:
        found = datetime.date.fromisoformat(said)
    except ValueError:
        return None
    return found if found.isoformat() == said else None
