"""A machine that fails while the algorithm runs: the run is blamed on what failed, and no promise breaks."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cloister.client.computation.asset import describe_asset
from cloister.client.computation.asset_upload import upload_asset
from cloister.client.computation.events import EventReader
from cloister.protocol.events import EventKind
from tests.faults.computation import DATA, STEPS, Computation
from tests.faults.invariants import Invariants
from tests.faults.scenario import on_guest_machine

FAULTS: dict[str, Callable[[Computation], None]] = {
    "STORE_FULL": lambda one: one.guest.fill_store(DATA + 200_000),
    "NO_EVIDENCE": lambda one: one.guest.kill("tpm"),
    "LAUNCH": lambda one: one.guest.kill("runner"),
}
"""What happens before the last asset arrives, by the reason that parties are told."""


@pytest.mark.parametrize("reason", FAULTS)
def test_failed_run_names_what_failed(tmp_path: Path, reason: str) -> None:
    with on_guest_machine(tmp_path) as computation:
        address = computation.guest.address
        for step in STEPS[:3]:
            step.by_api(computation, address)
        (h1,) = [one for one in computation.manifest.assets() if one.name == "h1"]
        with computation.connection("hospital-1", address) as sender, computation.connection("lab", address) as lab:
            sender.session()
            invariants = Invariants(computation.guest, computation.manifest, lab)
            invariants.check()
            FAULTS[reason](computation)
            found = describe_asset(computation.machine.parties.files["h1"], unpack=False)
            upload_asset(sender, computation.manifest, h1, found)
            *_, last = (record.event for record in EventReader(lab).records(follow=True))
            assert (last.kind, last.detail) == (EventKind.FAILED, {"reason": reason})
            invariants.check()
