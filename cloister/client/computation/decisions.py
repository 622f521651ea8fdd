"""A party's decisions about a computation: a provider takes its consent back, an approver decides on the result."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from cloister.client.computation.events import follow_events
from cloister.client.connection.connection import Connection
from cloister.client.connection.session import Session
from cloister.client.html.fragment import fragment
from cloister.client.html.parts import Facts, one_line
from cloister.errors import InputError, ProofError
from cloister.protocol import archive, canonical, names, transcript
from cloister.protocol.events import EventKind
from cloister.protocol.manifest import Manifest
from cloister.units import format_size
from cloister.v1 import agent_pb2

_DIGEST_SIZE = 32


def withdraw_consent(connection: Connection, manifest: Manifest) -> tuple[str, ...]:
    """Take a provider's consents back: the computation ends, and the agent wipes everything of all parties.

    Possible until the first key of a result is released. Doing it twice is as good as once.

    Args:
        connection: of a provider of the manifest; it must demand this manifest.
        manifest: the manifest that all parties agreed on.

    Returns:
        The names of the provider's assets.

    Raises:
        InputError: this key provides nothing in the manifest.
        ProofError: the policy rejects the machine, or it runs another manifest.
        RefusedError: it is too late: the sentence names the event that came first.
        UnreachableError: no agent answers.
    """
    party = _provider(manifest, connection.key.public)
    _sign(connection, manifest, transcript.withdrawal_message, Session.withdraw, party=party)
    return tuple(asset.name for asset in manifest.assets() if asset.provider == party)


@dataclass(frozen=True, repr=False)
class ResultPreview:
    """What an approver sees of a result before it decides."""

    receipt: bytes
    """SHA-256 of the receipt's payload: what the decision is about."""

    files: tuple[tuple[str, int], ...]
    """Path and bytes of each file of the result."""

    log_size: int
    """Bytes of the algorithm's output that log readers get with the approval."""

    def lines(self) -> Iterator[str]:
        """The preview for reading. The algorithm chose the names: they are quoted where they could mislead."""
        yield from (f"{name:<10}{said}" for name, said in self.facts())

    def facts(self) -> Iterator[tuple[str, str]]:
        """The same, each with its name."""
        yield "Receipt", self.receipt.hex()
        for name, size in self.files:
            yield "File", f"{names.shown(name)}: {format_size(size)}"
        yield "Files", f"{len(self.files)}, {format_size(sum(size for _, size in self.files))} together"
        if self.log_size:
            yield "Output", f"{format_size(self.log_size)} that the program printed, released to log readers with it"

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def __repr__(self) -> str:
        return one_line(f"ResultPreview of {len(self.files)} files, receipt {self.receipt.hex()}")

    def _repr_html_(self) -> str:
        return fragment("A result that waits for your decision", Facts.of(self.facts()))

    def value(self) -> dict[str, Any]:
        """The JSON value."""
        return {
            "version": 1,
            "receipt": self.receipt.hex(),
            "files": [{"name": name, "size": size} for name, size in self.files],
            "log_size": self.log_size,
        }


def preview_result(connection: Connection, manifest: Manifest) -> ResultPreview:
    """Ask what the result has on which this party must decide: names and sizes of its files.

    Args:
        connection: of a party that must approve the result; it must demand this manifest.
        manifest: the manifest that all parties agreed on.

    Returns:
        The names, the sizes, and the digest of the receipt, which is compared with the event log.

    Raises:
        InputError: the manifest does not have this key approve the result.
        ProofError: the policy rejects the machine, or it shows another receipt than its event log.
        RefusedError: no result waits for approval.
        UnreachableError: no agent answers.
    """
    _require_approver(manifest, connection.key.public)
    answer = connection.call(lambda session: session.preview())
    logged = _logged_receipt(connection)
    if logged is None or logged != answer.receipt_digest:
        raise ProofError(
            f"The machine shows another receipt than its event log (log: {logged.hex() if logged else 'none'}, "
            f"shown: {answer.receipt_digest[:_DIGEST_SIZE].hex()})."
        )
    return ResultPreview(answer.receipt_digest, tuple(_checked(answer)), answer.log_size)


def approve_result(connection: Connection, manifest: Manifest, preview: ResultPreview) -> None:
    """Approve the result. The last approval that the manifest demands releases result and logs.

    Args:
        connection: of a party that must approve the result; it must demand this manifest.
        manifest: the manifest that all parties agreed on.
        preview: what :func:`preview_result` returned: the approval is a signature over its receipt.

    Raises:
        InputError: the manifest does not have this key approve the result.
        RefusedError: this party has rejected it, or the computation has ended: the sentence names the event.
        CloisterError: as :func:`preview_result`.
    """
    _require_approver(manifest, connection.key.public)
    _sign(connection, manifest, transcript.approval_message, Session.approve, payload_digest=preview.receipt)


def reject_result(connection: Connection, manifest: Manifest) -> None:
    """Reject the result: no one else receives it, and everything of all parties is wiped.

    Args:
        connection: of a party that must approve the result; it must demand this manifest.
        manifest: the manifest that all parties agreed on.

    Raises:
        InputError: the manifest does not have this key approve the result.
        RefusedError: no result waits, this party has approved it, or the computation has ended: the sentence names the
            event.
        CloisterError: as :func:`preview_result`.
    """
    _require_approver(manifest, connection.key.public)
    # Without a result the agent says in which state it is.
    receipt = _logged_receipt(connection) or bytes(_DIGEST_SIZE)
    _sign(connection, manifest, transcript.rejection_message, Session.reject, payload_digest=receipt)


def _sign(
    connection: Connection,
    manifest: Manifest,
    message: Callable[..., bytes],
    send: Callable[[Session, bytes], None],
    **about: object,
) -> None:
    """Sign a decision in the session in use, and in the next one if the agent no longer accepts that."""

    def sign(session: Session) -> None:
        signed = message(manifest_digest=manifest.digest(), transcript=session.transcript, **about)
        send(session, connection.key.sign(signed))

    connection.call(sign)


def _logged_receipt(connection: Connection) -> bytes | None:
    """The digest of the receipt in the event log; None before there are results. Raises ProofError."""
    for record in follow_events(connection, follow=False):
        if record.event.kind is EventKind.RESULTS_READY:
            return canonical.from_hex(record.event.detail.get("receipt", ""), what="The receipt in the event log")
    return None


def _checked(answer: agent_pb2.PreviewResponse) -> Iterator[tuple[str, int]]:
    if len(answer.files) > archive.MAX_MEMBERS:
        raise ProofError(f"The machine lists {len(answer.files)} files; at most {archive.MAX_MEMBERS} are allowed.")
    for one in answer.files:
        if (why := names.path_problem(one.name)) is not None:
            raise ProofError(f"The machine lists the file {names.shown(one.name)}, whose name {why}.")
        yield one.name, one.size


def _require_approver(manifest: Manifest, key: bytes) -> None:
    approvers = manifest.results.approvers
    if set(manifest.names(key)) & set(approvers):
        return
    if not approvers:
        raise InputError(
            "This manifest demands no approval of its result.", hint="Consumers fetch the result with `result`."
        )
    raise InputError(
        f"This manifest does not have your key approve the result; it must be approved by: {', '.join(approvers)}.",
        hint="Name another key with --key.",
    )


def _provider(manifest: Manifest, key: bytes) -> str:
    providers = sorted({asset.provider for asset in manifest.assets()})
    for name in manifest.names(key):
        if name in providers:
            return name
    raise InputError(
        f"Your key provides nothing in this manifest; providers are: {', '.join(providers)}.",
        hint="Name another key with --key. An owner ends a computation with `stop`.",
    )
