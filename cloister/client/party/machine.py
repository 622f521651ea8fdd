"""The machine that a party is connected to: everything that the party does with it."""

import contextlib
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from cloister.client.computation import decisions, lifecycle
from cloister.client.computation.decisions import ResultPreview
from cloister.client.computation.logs import ProgramLog, collect_logs, read_logs
from cloister.client.computation.metrics import AgentMetrics, fetch_metrics
from cloister.client.computation.status import ComputationStatus, fetch_status
from cloister.client.computation.submission import submit
from cloister.client.computation.upload import UploadReport, Uploads, upload_algorithm, upload_datasets
from cloister.client.connection.connection import Connection
from cloister.client.connection.machine_verdict import MachineVerdict
from cloister.client.history.history import AcceptanceHistory
from cloister.client.html.parts import one_line
from cloister.client.party.callback import CallbackReport, OnProgress
from cloister.client.party.machine_events import MachineEvents
from cloister.client.result.fetch import FetchedResult, ResultReport, fetch_result
from cloister.client.result.preview import require_read
from cloister.client.rules.consent import consent_by_rule
from cloister.client.rules.rule import StandingRule
from cloister.endpoint import Address
from cloister.errors import InputError
from cloister.protocol.manifest import Manifest
from cloister.userfile import FilePath


class Machine:
    """A CVM, as one party talks to it. Made by :meth:`Party.connect`; a context manager that closes the session.

    Nothing is opened until something is called. Every call raises CloisterError: ProofError when the policy rejects the
    machine or it runs another manifest, RefusedError when the agent refuses, UnreachableError when no agent answers.
    Uploads and downloads resume after interruptions, in the same call or in a later one.

    ``progress`` is called with what is done, the bytes done and all bytes. It is called from several threads, but never
    at the same time. What may fail on the machine is a CloisterWarning. ``report`` replaces both.
    """

    def __init__(
        self,
        connection: Connection,
        manifest: Manifest | None,
        *,
        names: Mapping[str, str],
        keep: Sequence[Path] = (),
        history: AcceptanceHistory | None = None,
    ) -> None:
        """``connection`` demands ``manifest``; ``names`` are by key id, ``keep`` not replaced, ``history`` notes."""
        self._connection = connection
        self._manifest = manifest
        self._names = names
        self._keep = keep
        self._history = history

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        target = self._connection.target
        name = f"{target.cvm} at {target.address}" if target.cvm else str(target.address)
        return one_line(f"Machine {name}, {f'manifest {self._manifest.name}' if self._manifest else 'any manifest'}")

    @property
    def connection(self) -> Connection:
        """The sessions below, for the functions of ``cloister.client`` that take a connection."""
        return self._connection

    @property
    def address(self) -> Address:
        """Where its agent listens."""
        return self._connection.target.address

    @property
    def manifest(self) -> Manifest:
        """The manifest that the machine must run. Raises InputError without one."""
        if self._manifest is None:
            raise InputError(
                "This needs the manifest that all parties agreed on.",
                hint='Name your copy: party.connect("computation.json").',
            )
        return self._manifest

    @property
    def verdict(self) -> MachineVerdict:
        """The verdict under which the session was opened: an accepted one."""
        return MachineVerdict(self._connection.verdict(), self._connection.evidence())

    def close(self) -> None:
        """End the session. Another call opens the next one."""
        self._connection.close()

    # ---- what goes on

    def status(self) -> ComputationStatus:
        """What has arrived, what is missing, who has fetched. The agent's word: the events are signed."""
        return fetch_status(self._connection)

    def events(self, *, follow: bool = False, until: str | Iterable[str] = ()) -> MachineEvents:
        """The signed timeline, from the first event on. Signature and chain of each event are verified.

        Args:
            follow: wait for further events until the computation has ended. They are read by iterating.
            until: with ``follow``, end at this state or one of these, such as ``Running``.

        Returns:
            The events so far; with ``follow`` iterate over it: ``for event in machine.events(follow=True)``.
        """
        return MachineEvents.open(self._connection, self._names, follow=follow, until=until)

    def logs(self, *, follow: bool = False) -> ProgramLog:
        """What the algorithm printed, as far as the manifest lets this party read it.

        Args:
            follow: wait until the run is over.
        """
        return collect_logs(self._connection, follow=follow)

    def read_logs(self, show: Callable[[bytes], object], *, follow: bool = False) -> bool:
        """The same piece by piece, as it comes; returns whether the output was truncated at the manifest's limit."""
        return read_logs(self._connection, show, follow=follow)

    def metrics(self, *, log: bool = False) -> AgentMetrics:
        """The agent's counters and, with ``log``, its own log. For owners."""
        return fetch_metrics(self._connection, log=log)

    # ---- owners

    def submit(self, *, hold: bool = False) -> None:
        """Submit the manifest, unless the machine has the same one already. With ``hold`` the run waits for `start`."""
        made = submit(self._connection.target, self._connection.key, self.manifest, hold=hold)
        self.close()
        self._connection = made

    def start(self) -> None:
        """Start a held run when all assets have arrived."""
        lifecycle.start_run(self._connection)

    def stop(self) -> None:
        """Stop the computation for good: the agent wipes all assets and results."""
        lifecycle.stop_computation(self._connection)

    def reset(self, *, wait: bool = True, accepted: Callable[[], None] = lambda: None) -> None:
        """Wipe and reboot the machine, for another manifest.

        Args:
            wait: wait until it has booted and the policy accepts it again.
            accepted: called when the agent has accepted the reset, before waiting.
        """
        lifecycle.reset_machine(self._connection, wait=wait, accepted=accepted)

    # ---- providers

    def upload_algorithm(
        self,
        path: FilePath,
        *,
        bundle: FilePath | None = None,
        files: Mapping[str, FilePath] | None = None,
        progress: OnProgress | None = None,
        report: UploadReport | None = None,
    ) -> Uploads:
        """Upload the algorithm with its bundle and files: this is the party's consent to their use.

        Args:
            path: the algorithm that the manifest names.
            bundle: its packages; None for the file beside it that the manifest names.
            files: its files by their name in the manifest; others are looked for beside it.
            progress: called on the way.
            report: called on the way with everything.
        """
        packages = Path(bundle) if bundle is not None else None
        others = {name: Path(one) for name, one in (files or {}).items()}
        with self._ended_if_interrupted():
            return upload_algorithm(
                self._connection,
                self.manifest,
                Path(path),
                bundle=packages,
                files=others,
                report=report or CallbackReport(progress),
            )

    def upload_data(
        self,
        *paths: FilePath,
        name: str | None = None,
        progress: OnProgress | None = None,
        report: UploadReport | None = None,
    ) -> Uploads:
        """Upload datasets, several at once: this is the party's consent to their use.

        Args:
            paths: files or folders that the manifest names.
            name: the dataset's name in the manifest, for one path whose file is called otherwise.
            progress: called on the way.
            report: called on the way with everything.
        """
        with self._ended_if_interrupted():
            return upload_datasets(
                self._connection,
                self.manifest,
                [Path(path) for path in paths],
                name=name,
                report=report or CallbackReport(progress),
            )

    def consent(
        self, rule: FilePath, *, progress: OnProgress | None = None, report: UploadReport | None = None
    ) -> Uploads:
        """Upload the party's datasets if its standing rule permits the computation, and count the use."""
        standing = StandingRule.load(Path(rule))
        ruled = self._history.ruled() if self._history else contextlib.nullcontext()
        with self._ended_if_interrupted(), ruled:
            return consent_by_rule(self._connection, self.manifest, standing, report=report or CallbackReport(progress))

    def withdraw(self) -> tuple[str, ...]:
        """Take this provider's consents back, which ends the computation. Returns the names of its assets."""
        return decisions.withdraw_consent(self._connection, self.manifest)

    # ---- approvers

    def preview(self, *, read: FilePath | None = None) -> ResultPreview:
        """Names and sizes of the files of a result that waits for this party's approval.

        Args:
            read: the result that the party fetched to decide on it: must be the one that waits, which it is not if the
                machine was reset since. None if it fetched none.
        """
        found = decisions.preview_result(self._connection, self.manifest)
        if read is not None:
            target = self._connection.target
            require_read(found, Path(read), target.policy, collateral=target.collateral)
        return found

    def approve(self, preview: ResultPreview) -> None:
        """Approve the result that ``preview`` is of: the last approval releases it."""
        decisions.approve_result(self._connection, self.manifest, preview)

    def reject(self) -> None:
        """Reject the result: no one else receives it, and everything of all parties is wiped."""
        decisions.reject_result(self._connection, self.manifest)

    # ---- consumers

    def fetch(
        self,
        output: FilePath = "results.zip",
        *,
        unpack: FilePath | None = None,
        wait: bool = False,
        keep: Iterable[FilePath] = (),
        progress: OnProgress | None = None,
        report: ResultReport | None = None,
    ) -> FetchedResult:
        """Fetch the result, verify it and write it to a new file. The machine releases it once for each consumer.

        A call that got the key but failed afterwards is completed by the next one, also without the machine.

        Args:
            output: the file of the result, which must not exist.
            unpack: also write the result's files below this folder.
            wait: wait until the result is ready or the computation has ended.
            keep: files that no file of the result may replace, besides the party's own.
            progress: called on the way.
            report: called on the way with everything.
        """
        with self._ended_if_interrupted():
            return fetch_result(
                lambda: self._connection,
                self.manifest,
                self._connection.target.policy,
                Path(output),
                unpack=Path(unpack) if unpack is not None else None,
                keep=[*self._keep, *(Path(one) for one in keep)],
                wait=wait,
                collateral=self._connection.target.collateral,
                report=report or CallbackReport(progress),
            )

    @contextlib.contextmanager
    def _ended_if_interrupted(self) -> Generator[None, None, None]:
        """Ctrl-C also ends what other threads transfer: their session is closed."""
        try:
            yield
        except Exception:
            raise
        except BaseException:
            self.close()
            raise
