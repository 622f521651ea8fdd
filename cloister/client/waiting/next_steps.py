"""What a computation waits for: who has to do what next, and the command for it."""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cloister.client.computation.status import ComputationStatus
from cloister.protocol.events import State
from cloister.protocol.manifest import BUNDLE, Asset, Manifest
from cloister.units import format_duration

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}\Z")
"""Names of files that a command may have as they are. Others come from a party and could mean something to a shell."""

_FILE = "FILE"
"""Instead of a file whose name is unknown or not plain."""


@dataclass(frozen=True)
class Step:
    """Something that someone has to do."""

    who: tuple[str, ...]
    """Names of parties: each of them, or with ``either`` one. Empty if only the machine is at work."""
    what: str
    """What they have to do, as the rest of a sentence that begins with their names."""
    commands: tuple[str, ...] = ()
    """What one of them types, in order."""
    yours: bool = False
    """Whether the reader is one of them."""
    later: bool = False
    """Whether something else has to be done first."""
    either: bool = False


@dataclass(frozen=True)
class StepReader:
    """Who reads the steps, and how that party's commands are typed."""

    parties: frozenset[str] = frozenset()
    """The manifest's names for the reader's key."""
    owner: bool = False
    """Whether the reader's key is an owner's."""
    program: str = "cloister"
    options: tuple[str, ...] = ()
    """Options that the reader types with every command, such as those that name key, policy and workspace."""
    manifest: str = "computation.json"
    """The file of the reader's copy of the manifest."""
    manifest_set: bool = False
    """Whether the environment names that file, so that no option has to."""


_OTHERS = StepReader()


def next_steps(
    status: ComputationStatus, *, owners: Sequence[str], reader: StepReader, manifest: Manifest | None = None
) -> tuple[Step, ...]:
    """Say what a computation waits for.

    Args:
        status: the state of the computation.
        owners: the names of the CVM's owners.
        reader: who reads it.
        manifest: the reader's copy of the manifest, if it is the machine's; it names files.

    Returns:
        The steps, in the order in which they are possible. Those of the same time may be done in any order.

    Raises:
        ProofError: the state is unknown.
    """
    return tuple(_Steps(status, tuple(owners), reader, manifest).all())


class _Steps:
    def __init__(
        self, status: ComputationStatus, owners: tuple[str, ...], reader: StepReader, manifest: Manifest | None
    ) -> None:
        self._status = status
        self._owners = owners
        self._reader = reader
        self._manifest = manifest
        self._files = {asset.name: asset for asset in manifest.assets()} if manifest else {}

    def all(self) -> Iterator[Step]:
        """All steps in this state."""
        match self._status.state:
            case State.IDLE:
                yield self._owner("submits the manifest on which all parties have agreed", "run", manifest=True)
            case State.RECEIVING:
                yield from self._uploads()
                if self._status.answer.hold:
                    yield self._owner("starts the run once all assets have arrived", "start", later=True)
            case State.HELD:
                yield self._owner("starts the run", "start")
            case State.RUNNING:
                limit = f", for {format_duration(self._manifest.limits.time)} at most" if self._manifest else ""
                yield Step((), f"The algorithm runs{limit}. No one has to do anything.")
                yield from self._approvals(later=True)
            case State.APPROVAL:
                yield from self._approvals()
            case State.CONSUMING:
                yield from self._results()
            case State.FAILED:
                yield from self._logs()
                yield self._reset()
            case State.COMPLETE | State.STOPPED:
                yield self._reset()

    def _uploads(self) -> Iterator[Step]:
        missing = [asset for asset in self._status.answer.assets if not asset.complete]
        for provider in dict.fromkeys(asset.provider for asset in missing):
            program = [one.name for one in missing if one.provider == provider and one.kind != "dataset"]
            datasets = [one.name for one in missing if one.provider == provider and one.kind == "dataset"]
            yours = provider in self._reader.parties
            manifest = (self._reader if yours else _OTHERS).manifest
            reviewed = (self._typed("review", manifest, yours=yours, session=False),)
            if program:
                files = [self._file("algorithm")]
                bundle = ["--bundle", self._file(BUNDLE)] if BUNDLE in program else []
                command = self._typed("upload-algorithm", *files, *bundle, yours=yours, manifest=True)
                what = f"uploads {_listed('the algorithm', [name for name in program if name != 'algorithm'])}"
                yield Step((provider,), what, (*reviewed, command), yours)
            if datasets:
                command = self._typed("upload-data", *self._dataset(datasets), yours=yours, manifest=True)
                what = f"uploads the dataset{'' if len(datasets) == 1 else 's'} {', '.join(datasets)}"
                yield Step((provider,), what, (*reviewed, command), yours)

    def _dataset(self, names: Sequence[str]) -> list[str]:
        files = [self._file(name) for name in names]
        return [files[0], "--name", names[0]] if len(files) == 1 and _PLAIN.match(names[0]) else files

    def _approvals(self, *, later: bool = False) -> Iterator[Step]:
        for one in self._status.answer.approvals:
            if one.approved:
                continue
            yours = one.party in self._reader.parties
            look = self._typed("approve", "--look", yours=yours, manifest=True)
            decide = [self._typed(verb, yours=yours, manifest=True) for verb in ("approve", "reject")]
            yield Step((one.party,), "approves the result, or rejects it", (look, *decide), yours, later)

    def _results(self) -> Iterator[Step]:
        for one in self._status.answer.results:
            if not one.consumed:
                yours = one.consumer in self._reader.parties
                command = self._typed("result", "--output", "results.zip", yours=yours, manifest=True)
                yield Step((one.consumer,), "fetches the result", (command,), yours, not one.ready)

    def _logs(self) -> Iterator[Step]:
        if self._manifest is not None and self._manifest.logs.readers and self._manifest.logs.max_size:
            readers = self._manifest.logs.readers
            yours = bool(self._reader.parties & set(readers))
            what = "may read what the algorithm printed"
            yield Step(readers, what, (self._typed("logs", yours=yours),), yours, either=True)

    def _reset(self) -> Step:
        return self._owner("may wipe the machine for another computation: this one has ended", "reset")

    def _owner(self, what: str, verb: str, *, manifest: bool = False, later: bool = False) -> Step:
        yours = self._reader.owner
        command = self._typed(verb, yours=yours, manifest=manifest)
        return Step(self._owners, what, (command,), yours, later, either=True)

    def _file(self, name: str) -> str:
        asset: Asset | None = self._files.get(name)
        return asset.file if asset is not None and _PLAIN.match(asset.file) else _FILE

    def _typed(self, verb: str, *words: str, yours: bool, manifest: bool = False, session: bool = True) -> str:
        """The command as the party types it that has to: another party has settings of its own."""
        reader = self._reader if yours else _OTHERS
        named = ["--manifest", reader.manifest] if manifest and not reader.manifest_set else []
        return shlex.join([reader.program, verb, *words, *named, *(reader.options if session else ())])


def _listed(first: str, names: Sequence[str]) -> str:
    """The algorithm with what comes with it."""
    bundle = ["its packages"] if BUNDLE in names else []
    files = [name for name in names if name != BUNDLE]
    more = [*bundle, *([f"the file{'' if len(files) == 1 else 's'} {', '.join(files)}"] if files else [])]
    parts = [first, *more]
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
