"""Reports of uploads and results on the way. Imported only by a running verb, because it needs gRPC."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from cloister.attestation.result.verdict import Verdict
from cloister.cli.shell import show
from cloister.cli.shell.event_printer import event_printer
from cloister.client.computation.upload import Uploaded, UploadReport
from cloister.client.connection.report import Progress
from cloister.client.evidence.verdict import verdict_summary
from cloister.client.result.fetch import ResultReport
from cloister.client.watch.watch import WatchReport
from cloister.errors import CloisterError
from cloister.protocol.events import Record
from cloister.protocol.manifest import Manifest
from cloister.protocol.progress import ComputationProgress
from cloister.units import format_size


class UploadPrinter(UploadReport):
    """Prints the verdict and every upload; with ``json`` only the JSON at the end."""

    def __init__(self, *, json: bool) -> None:
        self._json = json
        self._all_sent = False

    @contextmanager
    def interruptible(self) -> Generator[None, None, None]:
        """Ctrl-C in this context says what is left to do: nothing, when everything was sent."""
        try:
            yield
        except KeyboardInterrupt as error:
            if self._all_sent:
                raise KeyboardInterrupt("Everything was sent; `status` shows whether the machine has it.") from error
            raise

    def sent(self, remaining: int) -> None:
        self._all_sent = not remaining

    def transfer(self, what: str, size: int) -> AbstractContextManager[Progress]:
        return show.transfer(what, size)

    def interrupted(self, error: CloisterError, pause: float) -> None:
        self._all_sent = False
        show.interruption(error, pause)

    def warned(self, said: str) -> None:
        show.note(f"Warning: {said}")

    def accepted(self, verdict: Verdict) -> None:
        if not self._json:
            for line in verdict_summary(verdict):
                print(line)

    def uploaded(self, one: Uploaded) -> None:
        if not self._json:
            new = "" if one.sent else " (the machine already had it)"
            print(f"Uploaded: {one.asset.name}, {format_size(one.asset.size)}, with your consent{new}")

    def finish(self, manifest: Manifest, uploads: Sequence[Uploaded]) -> None:
        """Print all uploads as JSON, if asked to."""
        if self._json:
            uploaded = [
                {"asset": one.asset.name, "digest": one.asset.digest, "size": one.asset.size, "sent": one.sent}
                for one in uploads
            ]
            show.facts({"manifest": manifest.digest().hex(), "uploaded": uploaded})


class ResultPrinter(ResultReport):
    """Prints events while the verb waits; ``names`` maps key ids to names. With ``json`` it prints no events."""

    def __init__(self, names: Mapping[str, str], *, json: bool) -> None:
        self._names = names
        self._json = json

    def transfer(self, what: str, size: int) -> AbstractContextManager[Progress]:
        return show.transfer(what, size)

    def interrupted(self, error: CloisterError, pause: float) -> None:
        show.interruption(error, pause)

    def key_present(self) -> None:
        show.note("An earlier call already got the key: decrypting without the machine.")

    def waiting(self, now: ComputationProgress) -> AbstractContextManager[Callable[[Record], None]]:
        # Standard output must stay one JSON document.
        return nullcontext(lambda record: None) if self._json else event_printer(self._names, now)


class WatchPrinter(WatchReport):
    """Notes what is awaited, and the command's failures."""

    def awaiting(self, said: str) -> None:
        show.note(said)

    def interrupted(self, error: CloisterError, pause: float) -> None:
        show.interruption(error, pause)
