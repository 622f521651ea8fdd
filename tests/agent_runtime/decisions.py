"""What the parties of a world decide and fetch, and what is seen of it."""

import hashlib
from collections.abc import Callable
from typing import Any

from cloister.client.connection.session import Session
from cloister.protocol import canonical, transcript
from cloister.protocol.approval import Approval
from tests.agent_runtime.world import World

SECONDS = 60
"""Time that passes with "the end of time"."""


def withdrawal(world: World, session: Session, name: str, /, **changes: Any) -> bytes:
    """What ``name`` signs in a session to withdraw."""
    message = {"manifest_digest": world.known().digest(), "party": name, "transcript": session.transcript} | changes
    return world.keys[name].sign(transcript.withdrawal_message(**message))


def decision(world: World, session: Session, name: str, message: Callable[..., bytes], /, **changes: Any) -> bytes:
    """What ``name`` signs in a session to approve or reject the result, by the ``message`` of the decision."""
    members = {
        "manifest_digest": world.known().digest(),
        "payload_digest": digest(world),
        "transcript": session.transcript,
    } | changes
    return world.keys[name].sign(message(**members))


def withdraw(world: World, name: str = "hospital") -> None:
    with world.session(name) as session:
        session.withdraw(withdrawal(world, session, name))


def approve(world: World, name: str = "hospital") -> None:
    with world.session(name) as session:
        session.approve(decision(world, session, name, transcript.approval_message))


def reject(world: World, name: str = "hospital") -> None:
    with world.session(name) as session:
        session.reject(decision(world, session, name, transcript.rejection_message))


def fetch(session: Session, consumer: str) -> bytes:
    """The ciphertext of a slot."""
    with session.fetch_result(consumer, 0, 1 << 22) as (_, pieces):
        return b"".join(pieces)


def release(world: World, name: str) -> tuple[bytes, bytes, tuple[Approval, ...]]:
    """A consumer's key, ciphertext, and the approvals that came with them."""
    with world.session(name) as session:
        ciphertext = fetch(session, name)
        return session.release_result(name, hashlib.sha256(ciphertext).digest()), ciphertext, session.approvals


def digest(world: World) -> bytes:
    """SHA-256 of the receipt, as the log has it; zeros before there is one."""
    ready = [event for event in events(world) if event["kind"] == "results-ready"]
    return bytes.fromhex(ready[0]["detail"]["receipt"]) if ready else bytes(32)


def events(world: World) -> list[dict[str, Any]]:
    return [canonical.parse(line, what="a line", limit=1 << 20)["event"] for line in world.events("owner")]


def kinds(world: World) -> list[str]:
    return [event["kind"] for event in events(world)]


def state(world: World) -> str:
    with world.session("owner") as session:
        return session.status().state


def files(world: World) -> list[str]:
    """The names of the files in the store."""
    return [path.name for path in world.running.config.store.rglob("*") if path.is_file()]


def releasing(world: World, session: Session, name: str) -> Callable[[], object]:
    # The agent's own digest: before an approval a consumer cannot have it.
    slots = world.running.agent.computation.slots.all()
    digest = next((one.digest for one in slots if one.consumer == name), bytes(32))
    return lambda: session.release_result(name, digest)


def withdrawing(world: World, session: Session, name: str) -> Callable[[], object]:
    signed = withdrawal(world, session, name)
    return lambda: session.withdraw(signed)


def approving(world: World, session: Session, name: str) -> Callable[[], object]:
    signed = decision(world, session, name, transcript.approval_message)
    return lambda: session.approve(signed)


def rejecting(world: World, session: Session, name: str) -> Callable[[], object]:
    signed = decision(world, session, name, transcript.rejection_message)
    return lambda: session.reject(signed)


def expiring(world: World, session: Session, name: str) -> Callable[[], object]:
    def expire() -> None:
        world.running.clock.pass_time(SECONDS)
        world.running.agent.sweep()

    return expire


CALLS: dict[str, tuple[str, Callable[[World, Session, str], Callable[[], object]]]] = {
    "the lab's key": ("lab", releasing),
    "the hospital's key": ("hospital", releasing),
    "the preview": ("reader", releasing),
    "the approval": ("reader", approving),
    "the rejection": ("reader", rejecting),
    "the withdrawal": ("lab", withdrawing),
    "another withdrawal": ("hospital", withdrawing),
    "the names": ("reader", lambda world, session, name: session.preview),
    "the ciphertext": ("lab", lambda world, session, name: lambda: fetch(session, name)),
    "the receipt": ("lab", lambda world, session, name: session.proof),
    "the logs": ("reader", lambda world, session, name: lambda: list(session.logs())),
    "the start": ("owner", lambda world, session, name: session.start),
    "the stop": ("owner", lambda world, session, name: session.stop),
    "the end of time": ("owner", expiring),
}
"""What may happen at one time: who calls, and what makes the call of a world, a session and its party."""

RELEASES = {"the lab's key", "the hospital's key", "the preview"}
