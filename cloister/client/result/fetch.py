"""Fetching a result: download, verify, unpack."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path

from cloister import userfile
from cloister.attestation.policy.policy import Policy
from cloister.client.collateral.sources import CollateralSources
from cloister.client.computation.events import follow_events
from cloister.client.computation.status import fetch_status
from cloister.client.connection.connection import Connection
from cloister.client.connection.report import TransferReport
from cloister.client.html.fragment import fragment
from cloister.client.html.parts import TextTable, one_line
from cloister.client.result.download import consumer_of, fetch_ciphertext, finish_result
from cloister.client.result.pending import alone, has_pending_key
from cloister.client.result.proof import Proof
from cloister.client.result.result_files import require_folder, unpack_result
from cloister.protocol import names
from cloister.protocol.events import Record
from cloister.protocol.manifest import Manifest
from cloister.protocol.progress import ComputationProgress, Phase
from cloister.userfile import FilePath


@dataclass(frozen=True, repr=False)
class FetchedResult:
    """A proven result: its file, its proof, and its files if they were unpacked."""

    output: Path
    proof: Proof
    files: tuple[Path, ...] = ()

    def __repr__(self) -> str:
        return one_line(f"FetchedResult {self.output}, {self.proof.decision()}")

    def _repr_html_(self) -> str:
        rows = [(names.shown(str(path)),) for path in self.files]
        files = (TextTable.of((("Unpacked", "text"),), rows, more="further files"),) if rows else ()
        title = f"{self.output}: {self.proof.decision()}"
        return fragment(title, *self.proof.parts(), *files, accepted=self.proof.accepted)


class ResultReport(TransferReport):
    """Also reports an earlier release, and events while the computation runs."""

    def key_present(self) -> None:
        """Called when an earlier call already got the key, so that the machine is not asked."""

    def waiting(self, now: ComputationProgress) -> AbstractContextManager[Callable[[Record], None]]:
        """Called before waiting, with the progress so far; the function is called with every event until the context
        ends.
        """
        return nullcontext(lambda record: None)


def fetch_result(
    connect: Callable[[], Connection],
    manifest: Manifest,
    policy: Policy,
    output: FilePath,
    *,
    unpack: FilePath | None = None,
    keep: Iterable[Path] = (),
    wait: bool = False,
    collateral: CollateralSources | None = None,
    report: ResultReport | None = None,
) -> FetchedResult:
    """Fetch a result, verify it and write it to a new file. The agent releases it once for each consumer.

    Args:
        connect: makes a connection of the consumer that demands this manifest. It is not used when an earlier call got
            the key but failed afterwards: then that call is completed without the machine.
        manifest: the manifest that all parties agreed on.
        policy: the party's policy, to verify the result with.
        output: the file of the result.
        unpack: also write the result's files below this folder; None does not.
        keep: files that no file of the result may replace, such as the party's key and policy.
        wait: wait until the result is ready or the computation has ended.
        collateral: for what the result's evidence does not carry; None for none.
        report: called on the way; None for no reports.

    Returns:
        The result and its proof.

    Raises:
        InputError: ``output`` exists, a file cannot be written, or the key is not a consumer's.
        ProofError: the policy rejects the machine, or the result is not proven. Ciphertext and key are kept then.
        RefusedError: the agent refuses, for example because the result is not ready or was released earlier.
        UnreachableError: no agent answers, or the machine stays away.
    """
    output = Path(output)
    unpack = Path(unpack) if unpack is not None else None
    told = report or ResultReport()
    try:
        target = userfile.destination(output)
    except OSError as error:
        raise userfile.unwritable(output, error) from error
    if unpack is not None:
        require_folder(unpack)
    with ExitStack() as stack:
        connection = stack.enter_context(connect())
        consumer = consumer_of(manifest, connection.key.public)
        if has_pending_key(target):
            told.key_present()
        else:
            if target.exists():
                raise userfile.occupied(target, "", "Name another file with --output, or move the existing one.")
            status = fetch_status(connection) if wait else None
            # Of a result that was fetched before, nothing is awaited; its machine refuses, and says when that was.
            if status is not None and not status.was_fetched_by(consumer):
                until = {Phase.COMPLETED}
                if consumer in manifest.results.readers:
                    until.add(Phase.APPROVAL)
                with told.waiting(status.progress) as show:
                    for record in follow_events(connection, until=frozenset(until)):
                        show(record)
        stack.enter_context(alone(target))
        if not has_pending_key(target):
            with told.transfer("Fetching the result", manifest.results.max_size) as progress:
                fetch_ciphertext(connection, manifest, target, progress=progress, interrupted=told.interrupted)
        proof = finish_result(manifest, policy, target, consumer, collateral=collateral)
    return FetchedResult(target, proof, tuple(unpack_result(target, unpack, keep)) if unpack is not None else ())
