"""A machine as a page may have been told of it: everything is there, and with it what hostile parties can choose."""

import dataclasses
import datetime
import time

from cloister.attestation.result.verdict import Check, CheckOutcome, Claims, Verdict
from cloister.client.computation.status import ComputationStatus
from cloister.client.connection.session import Bound
from cloister.client.page.machines import ManifestCopy, WatchedMachine, machines_of
from cloister.client.page.timeline import EventWindow
from cloister.client.page.watcher import Contact, Snapshot, Watcher
from cloister.endpoint import Address
from cloister.protocol.bootconfig import BootConfiguration
from cloister.protocol.descriptor import Budget, CvmEntry, Descriptor, MemberEntry
from cloister.protocol.events import Event, EventKind, State
from cloister.v1 import agent_pb2
from tests.agent_fixture import accepting_policy, new_authority

NOW = datetime.datetime(2026, 11, 30, 12, 0, tzinfo=datetime.UTC)


def machine_of(parties) -> WatchedMachine:
    """A machine of the workspace ``trial`` that does not exist, with the party's copy of the manifest."""
    configuration = BootConfiguration("trial", "main", (parties.keys["lab"].id,))
    descriptor = Descriptor(
        workspace="trial",
        backend="azure",
        flavor="base",
        image="00" * 32,
        members=tuple(MemberEntry(name, key.public, ("owner",)) for name, key in parties.keys.items()),
        cvms=(CvmEntry("main", str(Address("127.0.0.1", 9)), "azure-snp", configuration),),
        authority=None,
        budget=Budget(500, "EUR"),
    )
    policy = accepting_policy(configuration, new_authority())
    copy = ManifestCopy(parties.manifest(), "manifest.json")
    (made,) = machines_of({"workspace.json": descriptor}, {"policy.json": policy}, manifests=[copy])
    return made


def verdict_on(machine: WatchedMachine, *, accepted: bool = True) -> Verdict:
    """A verdict on the machine, confidential if it is accepted."""
    outcome = CheckOutcome.PASSED if accepted else CheckOutcome.FAILED
    configuration = machine.entry.boot_configuration
    return Verdict(
        platform="azure-snp",
        identity_root="AMD",
        confidential=accepted,
        at=NOW,
        policy=bytes(32),
        checks=(
            Check("nonce", outcome, "1", "2"),
            Check("manifest", CheckOutcome.NOT_APPLICABLE, "", "", "none named"),
        ),
        claims=Claims(configuration, bytes(32), bytes(32), None, {}, ("base", bytes(32)), {"reported TCB": "7"}),
    )


def event(number: int, **changes) -> Event:
    """A consent, without a detail."""
    made = Event(number, "00" * 32, "2026-11-30T12:00:00Z", number, EventKind.CONSENT, State.RECEIVING)
    return dataclasses.replace(made, **changes)


def told(watcher: Watcher) -> Snapshot:
    """What a machine told while it received datasets: accepted, confidential, with something of everything."""
    (copy,) = watcher.machine.manifests
    answer = agent_pb2.StatusResponse(state=State.RECEIVING.value, manifest_digest=copy.manifest.digest(), events=1)
    answer.assets.add(name="algorithm", kind="algorithm", provider="lab", size=4, received=4, complete=True)
    answer.assets.add(name="h1", kind="dataset", provider="hospital-1", size=4, received=1)
    answer.results.add(consumer="lab", consumed=True, consumed_at="2026-11-30T12:00:00Z")
    answer.approvals.add(party="hospital-1")
    answer.notices.append("notice")
    events = EventWindow({})
    events.add(event(0))
    return Snapshot(
        since=NOW,
        contact=Contact.ANSWERED,
        verdict=verdict_on(watcher.machine),
        status=ComputationStatus(answer),
        bound=Bound(("owner",), ("lab",)),
        answered=NOW,
        clock=time.monotonic(),
        events=events,
    )


def poison(watcher: Watcher, name: str) -> Snapshot:
    """The same with ``name`` wherever another party or a machine chooses the text. Changes the watcher's machine."""
    found = told(watcher)
    answer = agent_pb2.StatusResponse()
    answer.CopyFrom(found.status.answer)
    answer.detail = name
    answer.assets.add(name=name, kind=name, provider=name, size=2**64 - 1, received=2**63)
    answer.results.add(consumer=name, consumed=True, consumed_at=name)
    answer.approvals.add(party=name, approved=True, approved_at=name)
    answer.notices.append(name)
    copy = watcher.machine.manifests[0].manifest
    hostile = dataclasses.replace(copy, name=name, parties={name: copy.parties["lab"]})
    answer.manifest_digest = hostile.digest()
    events = EventWindow({"00": name})
    events.add(event(0, actor="00", detail={"asset": name}))
    events.add(event(1, actor=name, kind=EventKind.RESULT_CONSUMED, detail={"consumer": name}))
    watcher.machine = dataclasses.replace(
        watcher.machine, manifests=(ManifestCopy(hostile, name),), options=("--policy", name)
    )
    claims = dataclasses.replace(found.verdict.claims, identity={name: name}, image=(name, b""))
    checks = (Check(name, CheckOutcome.PASSED, name, name, name),)
    return dataclasses.replace(
        found,
        status=ComputationStatus(answer),
        bound=Bound((name,), (name,)),
        problem=name,
        hint=name,
        events=events,
        verdict=dataclasses.replace(found.verdict, platform=name, checks=checks, claims=claims),
    )
