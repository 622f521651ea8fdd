"""An asset in every order of uploads: never complete with foreign bytes, and never two writers."""

import contextlib
import hashlib
import resource
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from agent_runtime.computation.assets import AssetStore, asset_path
from agent_runtime.computation.scratch import Scratch
from agent_runtime.errors import CallRefusal, Reason
from agent_runtime.runner.client import RunnerClient
from cloister.protocol.manifest import Manifest
from tests.agent_runtime.world import manifest_value, new_key

FILES = {"algorithm": b"print()\n", "h1": b"0123456789" * 5}
KEYS = {name: new_key() for name in ("lab", "hospital", "reader")}
MANIFEST = Manifest.from_value(manifest_value(KEYS, FILES))
ASSETS = {asset.name: asset for asset in MANIFEST.assets()}
NO_DISK = Scratch(RunnerClient(Path("runner.sock"), results=Path("results"), output=Path("output")), 0)
names = st.sampled_from(sorted(ASSETS))
ages = st.sampled_from([0, 0, 0, 1])
"""How many uploads began after the one that does something: only the newest may."""


class AssetStates(RuleBasedStateMachine):
    """The model has the bytes that were accepted, and the newest writer of each asset."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(prefix="cl-")
        self.store = AssetStore(Path(self._folder.name), NO_DISK)
        self.newest = dict.fromkeys(ASSETS, 0)
        self.open = dict.fromkeys(ASSETS, False)
        self.accepted = dict.fromkeys(ASSETS, b"")
        self.complete = set[str]()
        self.wiped = False

    @initialize()
    def declare(self) -> None:
        self.store.declare(ASSETS.values())

    @rule(name=names)
    def begin(self, name: str) -> None:
        writer = self.store.begin(name)
        assert writer > self.newest[name]
        self.newest[name] = writer

    @rule(name=names)
    def begin_and_start(self, name: str) -> None:
        """As every honest upload begins."""
        self.begin(name)
        self.start(name, 0, None)

    @rule(name=names, age=ages, offset=st.one_of(st.none(), st.integers(0, 51)))
    def start(self, name: str, age: int, offset: int | None) -> None:
        """At the right offset (None), or at another."""
        number = self.newest[name] - age
        right = len(self.accepted[name])
        asked = right if offset is None else offset
        if self.wiped:
            return
        if number != self.newest[name]:
            with refused(Reason.BUSY):
                self.store.start(name, number, asked)
        elif name in self.complete or asked == right:
            self.store.start(name, number, asked)
            self.open[name] = name not in self.complete
        else:
            with refused(Reason.WRONG_OFFSET):
                self.store.start(name, number, asked)

    @rule(name=names, age=ages, count=st.integers(1, 60), forged=st.booleans())
    def write(self, name: str, age: int, count: int, forged: bool) -> None:
        """The next bytes; forged ones have the first one changed, and may be too many."""
        number = self.newest[name] - age
        done, content = len(self.accepted[name]), FILES[name]
        data = content[done : done + count]
        if forged:
            data = (data + bytes(count))[:count]
            data = bytes([data[0] ^ 1]) + data[1:]
        if number != self.newest[name]:
            with refused(Reason.BUSY):
                self.store.write(name, number, data)
        elif name in self.complete:
            with refused(Reason.TOO_LARGE):
                self.store.write(name, number, data or b"x")
        elif not self.open[name] or done + len(data) > len(content):
            with refused(Reason.TOO_LARGE):
                self.store.write(name, number, data)
            self.discard(name)
        else:
            self.accept(name, number, data)

    def accept(self, name: str, number: int, data: bytes) -> None:
        """Write bytes that fit. The last one shows whether all of them are the declared ones."""
        whole = self.accepted[name] + data
        if len(whole) == len(FILES[name]) and whole != FILES[name]:
            with refused(Reason.DIGEST_MISMATCH):
                self.store.write(name, number, data)
            self.discard(name)
            return
        progress = self.store.write(name, number, data)
        self.accepted[name] = whole
        if progress.complete:
            self.complete.add(name)
            self.open[name] = False

    @rule(name=names, room=st.integers(0, 20))
    def write_to_a_full_disk(self, name: str, room: int) -> None:
        """Some of the bytes may be in the file afterwards, and none of them counts."""
        number, done = self.newest[name], len(self.accepted[name])
        data, limit = FILES[name][done:], done + room
        if not self.open[name] or done + len(data) <= limit:
            return
        with no_file_larger_than(limit), pytest.raises(OSError):
            self.store.write(name, number, data)

    @rule()
    def wipe(self) -> None:
        """What was complete counts as received, but there is no byte any more."""
        self.store.wipe()
        self.wiped = True
        for name in ASSETS:
            self.newest[name] += 1
            if name not in self.complete:
                self.discard(name)

    def discard(self, name: str) -> None:
        self.accepted[name] = b""
        self.open[name] = False

    @invariant()
    def progress_is_that_of_the_accepted_bytes(self) -> None:
        for name, accepted in self.accepted.items():
            if self.store._uploads:
                progress = self.store.progress(name)
                assert (progress.offset, progress.complete) == (len(accepted), name in self.complete)

    @invariant()
    def files_begin_with_the_accepted_bytes(self) -> None:
        for name, asset in ASSETS.items():
            path = asset_path(self.store.folder, asset)
            if self.wiped:
                assert not path.exists() or name not in self.complete
            elif self.accepted[name]:
                assert path.read_bytes()[: len(self.accepted[name])] == self.accepted[name]
            if name in self.complete and not self.wiped:
                assert hashlib.sha256(path.read_bytes()).hexdigest() == asset.digest

    def teardown(self) -> None:
        self.store.wipe()
        self._folder.cleanup()


@contextlib.contextmanager
def refused(reason: Reason) -> Iterator[None]:
    with pytest.raises(CallRefusal) as caught:
        yield
    assert caught.value.reason is reason


@contextlib.contextmanager
def no_file_larger_than(limit: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


TestAssetStates = AssetStates.TestCase
TestAssetStates.settings = settings(max_examples=60, stateful_step_count=25)
