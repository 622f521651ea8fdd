"""The kinds of faults, and a step of a computation under one of them."""

import math
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from cloister.client.computation.asset_upload import consent
from cloister.client.computation.decisions import reject_result, withdraw_consent
from cloister.client.connection import binding, opening, sealed_calls
from cloister.errors import INTERRUPTED, CloisterError
from cloister.protocol.sealing import FRAME_SIZE
from cloister.v1 import agent_pb2
from tests.cli.command import NOTE
from tests.faults.computation import COMMAND, Computation, Step
from tests.faults.relay import Meddling, relay
from tests.line import Damage, Line, Point, line

_DEADLINE = 3.0
"""Seconds of a call through the relay."""

_PAUSE = 0.3
"""Seconds for which a stopped TPM stays stopped."""


@dataclass
class Attempt:
    """One step under one fault. ``error`` is what the party was told, None if the step succeeded in spite of it."""

    happened: bool
    """Whether the point of the fault was reached."""
    error: CloisterError | None = None
    killed: bool = False
    """Whether the party's own command was killed, so that no one was told anything."""
    spoils: frozenset[str] = field(default_factory=frozenset)
    """Reasons for which the computation may fail now."""
    gone: bool = False
    """Whether the machine has no agent any more."""


@dataclass(frozen=True)
class FaultKind:
    """A kind of faults. ``attempt`` carries out a step under it; ``where`` says which steps it is for."""

    name: str
    attempt: Callable[[Computation, Step, random.Random], Attempt]
    weight: int
    where: Callable[[Step], bool] = lambda step: True


def _api(step: Step, computation: Computation, between: Line) -> CloisterError | None:
    try:
        step.by_api(computation, between.address)
    except CloisterError as error:
        return error
    return None


def _count(step: Step, chance: random.Random, downward: bool) -> int:
    """After how many bytes the fault comes: often in the opening, often in the bulk."""
    size = step.sizes[downward]
    return round(math.exp(chance.uniform(3, math.log(size)))) if chance.random() < 0.5 else chance.randrange(size)


def _line(damage: Damage) -> Callable[[Computation, Step, random.Random], Attempt]:
    def attempt(computation: Computation, step: Step, chance: random.Random) -> Attempt:
        downward = chance.random() < 0.5
        with line(computation.guest.address, Point(_count(step, chance, downward), damage, downward)) as between:
            error = _api(step, computation, between)
        return Attempt(bool(between.reached), error)

    return attempt


@contextmanager
def _short_deadlines() -> Iterator[None]:
    """Let a party give up sooner: a unary call of gRPC that gets two answers, or none, ends with its deadline."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((opening, "OPEN_SECONDS"), (binding, "OPEN_SECONDS"), (sealed_calls, "UNARY_SECONDS")):
            patch.setattr(module, name, _DEADLINE)
        yield


def _sealed(meddling: Meddling) -> Callable[[Computation, Step, random.Random], Attempt]:
    def attempt(computation: Computation, step: Step, chance: random.Random) -> Attempt:
        downward, at = chance.random() < 0.5, chance.randrange(8)
        with (
            _short_deadlines(),
            relay(computation.guest, at, meddling, downward=downward, chance=chance) as (address, between),
        ):
            error = None
            try:
                step.by_api(computation, address)
            except CloisterError as caught:
                error = caught
        return Attempt(between.met, error)

    return attempt


def acted(
    act: Callable[[Computation, random.Random], None],
    undo: Callable[[Computation], None] = lambda computation: None,
    *,
    damage: Damage = Damage.NONE,
    spoils: frozenset[str] = frozenset(),
    gone: bool = False,
) -> Callable[[Computation, Step, random.Random], Attempt]:
    """A fault of the machine at a point of the transfer, which goes on or is cut."""

    def attempt(computation: Computation, step: Step, chance: random.Random) -> Attempt:
        downward = chance.random() < 0.5
        point = Point(_count(step, chance, downward), damage, downward, lambda: act(computation, chance))
        with line(computation.guest.address, point) as between:
            error = _api(step, computation, between)
        undo(computation)
        happened = bool(between.reached)
        return Attempt(happened, error, spoils=spoils if happened else frozenset(), gone=gone and happened)

    return attempt


def _pause_tpm(computation: Computation, chance: random.Random) -> None:
    computation.guest.pause("tpm")
    threading.Timer(_PAUSE, computation.guest.resume, ("tpm",)).start()


def _fill(computation: Computation, chance: random.Random) -> None:
    # The results may have room, or some of it, or not even the next frame.
    computation.guest.fill_store(chance.choice((0, chance.randrange(FRAME_SIZE), chance.randrange(8 * FRAME_SIZE))))


def _command(computation: Computation, step: Step, address: object, *before: str) -> "subprocess.Popen[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CLOISTER_")}
    folder = computation.machine.parties.folder
    return subprocess.Popen(
        [*before, *COMMAND, *step.words],
        cwd=folder,
        env={
            **environment,
            "XDG_CACHE_HOME": str(folder / "cache"),
            "XDG_STATE_HOME": str(folder / "state"),
            "AGENT_GRPC_URL": str(address),
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class CommandError(CloisterError):
    """What a command printed before it ended with an error."""


def _told(process: "subprocess.Popen[str]", out: str, err: str) -> CloisterError | None:
    """The error that a command that ended by itself told its user."""
    assert "Traceback" not in err + out, err + out
    if process.returncode == 0:
        return None
    # What is accepted for the first time is noted before.
    said = "".join(line for line in err.splitlines(keepends=True) if not line.startswith(NOTE))
    first, _, hint = said.strip().partition("\n")
    if process.returncode == INTERRUPTED:
        return CommandError("The command was interrupted.", hint=first, exit_code=INTERRUPTED)
    return CommandError(first.removeprefix("Error: "), hint=hint, exit_code=process.returncode)


def _signalled(number: signal.Signals) -> Callable[[Computation, Step, random.Random], Attempt]:
    def attempt(computation: Computation, step: Step, chance: random.Random) -> Attempt:
        started: list[subprocess.Popen[str]] = []
        ready = threading.Event()

        def end() -> None:
            ready.wait()
            started[0].send_signal(number)

        # A killed client sends nothing more; an interrupted one may still say goodbye.
        damage = Damage.CUT if number is signal.SIGKILL else Damage.NONE
        downward = chance.random() < 0.5
        point = Point(_count(step, chance, downward), damage, downward, end)
        with (
            line(computation.guest.address, point) as between,
            _command(computation, step, between.address) as process,
        ):
            started.append(process)
            ready.set()
            out, err = process.communicate()
        if process.returncode == -number:
            return Attempt(bool(between.reached), killed=True)
        return Attempt(bool(between.reached), _told(process, out, err))

    return attempt


def _small_disk(computation: Computation, step: Step, chance: random.Random) -> Attempt:
    """The party's file system takes no file larger than a chosen size."""
    if computation.output(step.party).exists():
        return Attempt(happened=False)
    size = chance.choice((0, chance.randrange(200), chance.randrange(4_000_000)))
    with _command(computation, step, computation.guest.address, "prlimit", f"--fsize={size}") as process:
        out, err = process.communicate()
    error = _told(process, out, err)
    return Attempt(error is not None, error)


def _twice(computation: Computation, step: Step, chance: random.Random) -> Attempt:
    """The same party does the same at the same time, from a chosen point on."""
    others: list[threading.Thread] = []
    unexpected: list[Exception] = []

    def second() -> None:
        try:
            step.by_api(computation, computation.guest.address)
        except CloisterError:
            return
        except Exception as error:  # noqa: BLE001 - raised below, in the test's thread
            unexpected.append(error)

    def begin() -> None:
        others.append(threading.Thread(target=second))
        others[0].start()

    downward = chance.random() < 0.5
    point = Point(_count(step, chance, downward), Damage.NONE, downward, begin)
    with line(computation.guest.address, point) as between:
        error = _api(step, computation, between)
    for other in others:
        other.join()
    if unexpected:
        raise unexpected[0]
    return Attempt(bool(between.reached), error)


def _forged(computation: Computation, step: Step, chance: random.Random) -> Attempt:
    """The provider sends other bytes than those it consented to."""
    (asset,) = [one for one in computation.manifest.assets() if one.name == step.name]
    content = bytearray(computation.machine.parties.files[step.name].read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    error = None
    with computation.connection(step.party, computation.guest.address) as connection:
        try:
            opened = connection.session()
            at = opened.upload_offset(asset.name).offset
            given = consent(connection.key, computation.manifest, asset, opened)
            start = agent_pb2.UploadStart(asset=asset.name, consent=given, offset=at)
            pieces = [bytes(content[one : one + FRAME_SIZE]) for one in range(at, len(content), FRAME_SIZE)]
            opened.upload_asset(start, lambda: iter(pieces), len(content) - at)
        except CloisterError as caught:
            error = caught
    return Attempt(happened=True, error=error)


def _without_consent(computation: Computation, step: Step, chance: random.Random) -> Attempt:
    """The provider's client sends bytes without a consent, or with one that is of no use here."""
    (asset,) = [one for one in computation.manifest.assets() if one.name == step.name]
    content = computation.machine.parties.files[step.name].read_bytes()
    error = None
    with computation.connection(step.party, computation.guest.address) as connection:
        try:
            start = agent_pb2.UploadStart(asset=asset.name, consent=chance.randbytes(chance.choice((0, 64, 2000))))
            connection.session().upload_asset(start, lambda: iter([content[:FRAME_SIZE]]), len(content))
        except CloisterError as caught:
            error = caught
    return Attempt(happened=True, error=error)


def _withdraw(computation: Computation, step: Step, chance: random.Random) -> Attempt:
    """At a point of the step a provider takes its consent back, unless a result was released before."""
    provider = chance.choice(("lab", "hospital-1", "hospital-2"))
    late: list[CloisterError] = []

    def withdraw() -> None:
        with computation.connection(provider, computation.guest.address) as connection:
            try:
                withdraw_consent(connection, computation.manifest)
            except CloisterError as error:
                late.append(error)

    downward = chance.random() < 0.5
    with line(computation.guest.address, Point(_count(step, chance, downward), Damage.NONE, downward, withdraw)) as way:
        error = _api(step, computation, way)
    withdrawn = bool(way.reached) and not late
    return Attempt(bool(way.reached), error, spoils=frozenset({"WITHDRAWN"} if withdrawn else ()))


def _reject(computation: Computation, step: Step, chance: random.Random) -> Attempt:
    """At a point of the approval, the same party rejects the result in another session."""
    late: list[CloisterError] = []

    def reject() -> None:
        with computation.connection(step.party, computation.guest.address) as connection:
            try:
                reject_result(connection, computation.manifest)
            except CloisterError as error:
                late.append(error)

    downward = chance.random() < 0.5
    with line(computation.guest.address, Point(_count(step, chance, downward), Damage.NONE, downward, reject)) as way:
        error = _api(step, computation, way)
    rejected = bool(way.reached) and not late
    return Attempt(bool(way.reached), error, spoils=frozenset({"REJECTED"} if rejected else ()))


def _unsigned(computation: Computation, step: Step, chance: random.Random) -> Attempt:
    """The approver's client approves or rejects without its signature over this result."""
    error = None
    with computation.connection(step.party, computation.guest.address) as connection:
        try:
            session = connection.session()
            signature = connection.key.sign(chance.randbytes(200)) if chance.random() < 0.5 else chance.randbytes(64)
            (session.approve if chance.random() < 0.5 else session.reject)(signature)
        except CloisterError as caught:
            error = caught
    return Attempt(happened=True, error=error)


def _is_upload(step: Step) -> bool:
    return step.name in ("algorithm", "h1", "h2")


def _has_command(step: Step) -> bool:
    return bool(step.words)


KINDS = (
    *(FaultKind(f"line {one.value}", _line(one), 3) for one in Damage if one not in (Damage.NONE, Damage.STALLED)),
    *(FaultKind(f"frame {one.value}", _sealed(one), 2) for one in Meddling),
    FaultKind("client killed", _signalled(signal.SIGKILL), 5, _has_command),
    FaultKind("client interrupted", _signalled(signal.SIGINT), 2, _has_command),
    FaultKind("client's disk full", _small_disk, 4, lambda step: step.name.startswith("result")),
    FaultKind("client twice", _twice, 3),
    FaultKind("bytes forged", _forged, 2, _is_upload),
    FaultKind("bytes without consent", _without_consent, 2, _is_upload),
    FaultKind(
        "store full",
        acted(_fill, lambda one: one.guest.empty_store(), spoils=frozenset({"STORE_FULL"})),
        8,
        lambda step: not step.name.startswith("result"),
    ),
    FaultKind("TPM stopped for a while", acted(_pause_tpm), 3),
    FaultKind("consent withdrawn", _withdraw, 1, lambda step: step.name != "run"),
    FaultKind("result rejected", _reject, 2, lambda step: step.name == "approve"),
    FaultKind("decision without signature", _unsigned, 4, lambda step: step.name == "approve"),
    FaultKind(
        "TPM gone",
        acted(lambda one, _: one.guest.kill("tpm"), spoils=frozenset({"NO_EVIDENCE"})),
        1,
    ),
    FaultKind("runner killed", acted(lambda one, _: one.guest.kill("runner"), spoils=frozenset({"LAUNCH"})), 1),
    FaultKind("agent killed", acted(lambda one, _: one.guest.kill("agent"), gone=True), 2),
)
