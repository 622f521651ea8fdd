"""Ends a run: when it is stopped, when its time is over, and a while after its scratch disk has failed.

Part of the runner, which is root. Standard library only.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future, wait
from dataclasses import dataclass, field

from agent_runtime.runner.protocol import RunOutcome

KILL_INTERVAL = 0.1
"""Seconds between attempts to kill a run."""

LOOK_INTERVAL = 1.0
"""Seconds between looks at the scratch disk, and at a run that cannot be killed."""

FAILED_SECONDS = 60.0
"""Seconds that a run may go on after its scratch disk has failed: its result is lost."""

LOST_SECONDS = 60.0
"""Seconds after which a run that was killed is given up: one of its processes waits for a device in vain."""


@dataclass
class RunGuard:
    """The end of one run. :meth:`stop` may be called from any thread."""

    stopped: threading.Event = field(default_factory=threading.Event)
    """:meth:`stop` was called."""

    timed_out: threading.Event = field(default_factory=threading.Event)
    """The job's time is over."""

    broken: threading.Event = field(default_factory=threading.Event)
    """The scratch disk failed, and the run did not end by itself."""

    due: threading.Event = field(default_factory=threading.Event)
    """Wakes the thread that kills the run: stopped, or over."""

    over: threading.Event = field(default_factory=threading.Event)
    """The run has ended."""

    lost: threading.Event = field(default_factory=threading.Event)
    """The run was killed and has not ended."""

    def stop(self) -> None:
        """End the run."""
        self.stopped.set()
        self.due.set()

    def is_due(self) -> bool:
        """Whether the run must end."""
        return self.stopped.is_set() or self.timed_out.is_set() or self.broken.is_set()

    def outcome(self) -> RunOutcome | None:
        """The outcome of a run that was ended; None for one that ended by itself or with its disk."""
        if self.stopped.is_set():
            return RunOutcome.STOPPED
        return RunOutcome.TIME_LIMIT if self.timed_out.is_set() else None

    def run(
        self, work: Callable[[], RunOutcome], seconds: int, kill: Callable[[], None], failed: Callable[[], bool]
    ) -> RunOutcome:
        """Do ``work`` in a thread of its own, which is left behind if ``kill`` does not end it. Raises what it raises.

        It is killed after ``seconds``, or a while after ``failed`` says that its disk has failed.
        """
        with self._watched(seconds, kill, failed):
            done: Future[RunOutcome] = Future()

            def run() -> None:
                try:
                    done.set_result(work())
                except BaseException as error:  # noqa: BLE001 - raised again by result()
                    done.set_exception(error)

            threading.Thread(target=run, name="sandbox", daemon=True).start()
            while not wait([done], LOOK_INTERVAL).done:
                if self.lost.is_set():
                    return self.outcome() or RunOutcome.SCRATCH
            return done.result()

    @contextlib.contextmanager
    def _watched(self, seconds: int, kill: Callable[[], None], failed: Callable[[], bool]) -> Generator[None]:
        watch = threading.Thread(target=self._watch, args=(seconds, kill, failed), name="guard", daemon=True)
        watch.start()
        try:
            yield
        finally:
            self.over.set()
            self.due.set()
            watch.join()

    def _watch(self, seconds: int, kill: Callable[[], None], failed: Callable[[], bool]) -> None:
        """Kills repeatedly: the first attempt may come before the run's cgroup exists."""
        end, at_end = time.monotonic() + seconds, self.timed_out
        while not self.due.wait(min(LOOK_INTERVAL, max(0.0, end - time.monotonic()))):
            if time.monotonic() >= end:
                at_end.set()
                break
            if at_end is self.timed_out and time.monotonic() + FAILED_SECONDS < end and _has(failed):
                end, at_end = time.monotonic() + FAILED_SECONDS, self.broken
        lost = time.monotonic() + LOST_SECONDS
        while not self.over.is_set():
            kill()
            self.over.wait(KILL_INTERVAL)
            if time.monotonic() >= lost:
                self.lost.set()
                return


def _has(failed: Callable[[], bool]) -> bool:
    try:
        return failed()
    except OSError:
        return True
