"""No session with a machine that the policy rejects, or that is not the one at the other end."""

import dataclasses
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import grpc
import pytest

from agent_runtime.rpc.keys import TlsIdentity
from cloister import endpoint
from cloister.attestation.binding import SessionBinding
from cloister.attestation.collateral.issuers import amd_issuers
from cloister.attestation.collateral_source import CERTIFICATE, CRL, InMemory
from cloister.attestation.evidence import Evidence, Platform
from cloister.attestation.policy.policy import LocalPolicy, Policy
from cloister.attestation.testkit import Authority, SnpMachine
from cloister.client.collateral.evidence_requests import Services
from cloister.client.collateral.sources import CollateralSources
from cloister.client.connection import refusal
from cloister.client.connection.binding import bind
from cloister.client.connection.opening import Target, attest
from cloister.endpoint import Address
from cloister.errors import CloisterError, InputError, ProofError, UnreachableError
from cloister.protocol import receipt
from cloister.protocol.sealing import Sealer, Sender
from cloister.v1 import agent_pb2, agent_pb2_grpc
from tests.client.collateral.conftest import Asking, asking, server
from tests.client.collateral.services import Reply, Server

__all__ = ["asking", "server"]

BINDING = SessionBinding(b"n" * 32, b"t" * 32, b"h" * 32)


def refused_for(target: Target) -> set[str]:
    """Names of the checks that fail."""
    with attest(target) as opening:
        return {check.name for check in opening.verdict.failures}


def test_machine_that_meets_the_policy_is_accepted(machine):
    assert refused_for(machine.target()) == set()


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"workspace": "other"}, "workspace"),
        ({"cvms": ("other", "main2")}, "cvm"),
        ({"owners": ("00" * 32,)}, "owners"),
    ],
)
def test_policy_for_another_machine_rejects_with_the_reason(machine, changes, check):
    target = dataclasses.replace(machine.target(), policy=machine.other_policy(**changes), cvm=None)

    assert refused_for(target) == {check}
    with attest(target) as opening, pytest.raises(ProofError, match=r"expected .* found"):
        bind(opening, machine.parties.keys["lab"])


def test_policy_for_another_image_rejects(machine):
    image = dataclasses.replace(machine.policy.images[0], pcrs={4: b"4" * 32, 9: b"9" * 32, 11: b"1" * 32})

    failed = refused_for(Target(machine.running.address, dataclasses.replace(machine.policy, images=(image,))))

    assert {"pcr-4", "pcr-9", "pcr-11"} <= failed


def test_policy_with_another_authority_rejects(machine):
    other = Authority.create(machine.running.authority.since)
    policy = dataclasses.replace(machine.policy, local=LocalPolicy(other.spki_sha256(), other.certificate))

    assert "ak-path" in refused_for(Target(machine.running.address, policy))


def test_policy_does_not_mix_local_machines_with_others(machine):
    with pytest.raises(InputError, match="cannot share a policy"):
        dataclasses.replace(machine.policy, platforms=(Platform.LOCAL, Platform.SEV_SNP))
    with pytest.raises(InputError, match="without allow_local"):
        dataclasses.replace(machine.policy, allow_local=False, local=None)


def test_target_narrows_the_policy_to_its_cvm(machine):
    both = machine.other_policy(cvms=("main", "second"))

    assert refused_for(Target(machine.running.address, both, "second")) == {"cvm"}
    with pytest.raises(ProofError, match="not for third"):
        attest(Target(machine.running.address, both, "third"))


def test_machine_without_a_manifest_is_rejected_if_one_is_demanded(machine):
    target = machine.target(machine.parties.manifest())

    assert refused_for(target) == {"manifest"}


def test_machine_with_another_manifest_is_refused(machine):
    machine.submit()

    assert refused_for(machine.target(machine.parties.manifest())) == {"manifest"}


def test_session_from_before_the_manifest_is_reopened(machine):
    with machine.connection("lab") as early:
        before = early.session()
        manifest = machine.submit()
        with pytest.raises(refusal.Refusal) as caught:
            before.status()

        status = early.call(lambda session: session.status())

    assert caught.value.reason == "MANIFEST_CHANGED"
    assert status.manifest_digest == manifest.digest()


def test_unknown_key_is_refused_with_its_fingerprint(machine):
    machine.submit()

    with machine.connection("stranger") as connected, pytest.raises(refusal.Refusal) as caught:
        connected.session()

    assert caught.value.exit_code == 4
    assert machine.parties.keys["stranger"].id in caught.value.message


def test_stream_id_cannot_be_reused(machine):
    with machine.connection("lab") as connected:
        session = connected.session()
        session.status()
        session.calls.last_stream = 0
        with pytest.raises(refusal.Refusal) as caught:
            session.status()

    assert (caught.value.reason, caught.value.exit_code) == ("STREAM_REPEATED", 3)


def test_frame_of_another_session_is_refused(machine):
    with machine.connection("lab") as one, machine.connection("lab") as other:
        foreign = other.session()
        sealer = Sealer(foreign.calls.keys, Sender.CLIENT, "Status", 1)
        counter, ciphertext = sealer.seal(b"", last=True)
        mine = one.session()
        frame = agent_pb2.Sealed(
            session_id=mine.calls.session_id, stream=1, counter=counter, last=True, ciphertext=ciphertext
        )
        with pytest.raises(grpc.RpcError) as caught:
            mine.calls.channel.unary_unary("/cloister.v1.Agent/Status")(frame.SerializeToString(), timeout=10)

    assert caught.value.code() is grpc.StatusCode.DATA_LOSS


def test_unreachable_address_is_named():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = Address("127.0.0.1", unused.getsockname()[1])

        with pytest.raises(UnreachableError, match=str(address)):
            endpoint.probe(address)


@contextmanager
def relay(machine_address: Address) -> Iterator[Address]:
    """An interceptor that terminates TLS with its own key and forwards everything."""
    identity = TlsIdentity.generate()
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []
    ends: list[ssl.SSLSocket] = []

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def server_context(folder: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["h2"])
        with open(f"{folder}/relay.pem", "wb") as file:
            file.write(identity.key + identity.certificate)
        context.load_cert_chain(f"{folder}/relay.pem")
        return context

    def serve(context: ssl.SSLContext) -> None:
        outward = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        outward.check_hostname = False
        outward.verify_mode = ssl.CERT_NONE
        outward.set_alpn_protocols(["h2"])
        while True:
            try:
                near = context.wrap_socket(listener.accept()[0], server_side=True)
                ends.append(near)
                far = outward.wrap_socket(socket.create_connection((machine_address.host, machine_address.port)))
                ends.append(far)
            except OSError:
                if listener.fileno() == -1:
                    return
                continue
            for pair in ((near, far), (far, near)):
                threads.append(threading.Thread(target=pump, args=pair, daemon=True))
                threads[-1].start()

    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        serving = threading.Thread(target=serve, args=(server_context(folder),), daemon=True)
        serving.start()
        try:
            yield Address("127.0.0.1", listener.getsockname()[1])
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            serving.join(10)
            for end in ends:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(10)
            for end in ends:
                end.close()


def test_relayed_evidence_is_rejected(machine):
    with relay(machine.running.address) as between:
        target = dataclasses.replace(machine.target(), address=between)

        assert refused_for(target) == {"session-tls-key"}
        with attest(target) as opening, pytest.raises(ProofError, match="intercepts the connection"):
            bind(opening, machine.parties.keys["lab"])


def test_replayed_evidence_is_rejected(machine):
    with attest(machine.target()) as earlier:
        answer = agent_pb2.OpenSessionResponse(
            session_id=earlier.session_id, hpke_public_key=earlier.hpke_public_key, evidence=earlier.raw
        )

    class Replayer(agent_pb2_grpc.AgentServicer):
        def OpenSession(self, request, context):
            return answer

    with served(Replayer()) as address:
        failed = refused_for(Target(address, machine.policy))

    assert failed == {"session-nonce", "session-tls-key"}


@contextmanager
def served(servicer: agent_pb2_grpc.AgentServicer | grpc.GenericRpcHandler) -> Iterator[Address]:
    """A service behind a TLS key of its own."""
    from concurrent.futures import ThreadPoolExecutor

    identity = TlsIdentity.generate()
    server = grpc.server(ThreadPoolExecutor(2))
    if isinstance(servicer, grpc.GenericRpcHandler):
        server.add_generic_rpc_handlers([servicer])
    else:
        agent_pb2_grpc.add_AgentServicer_to_server(servicer, server)
    credentials = grpc.ssl_server_credentials([(identity.key, identity.certificate)])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        yield Address("127.0.0.1", port)
    finally:
        server.stop(None).wait()


def test_server_that_is_not_an_agent_is_rejected(machine):
    class Odd(agent_pb2_grpc.AgentServicer):
        def OpenSession(self, request, context):
            return agent_pb2.OpenSessionResponse(session_id="x", hpke_public_key=b"short", evidence=b"junk")

    with served(Odd()) as address, pytest.raises(ProofError, match="not like an agent"):
        attest(Target(address, machine.policy))


@pytest.mark.parametrize("frames", [b"", b"\xff\xff"], ids=["no answer", "no message"])
def test_answer_that_is_missing_or_malformed_is_told_in_a_sentence(machine, frames):
    """gRPC ends a call without an answer well, and returns None."""

    class Empty(grpc.GenericRpcHandler):
        def service(self, handler_call_details):
            return grpc.stream_stream_rpc_method_handler(lambda requests, context: iter([frames] if frames else []))

    with served(Empty()) as address, pytest.raises(CloisterError) as caught:
        attest(Target(address, machine.policy))

    assert caught.value.message.endswith(("the answer was missing.", "the connection ended."))


class Ended(grpc.RpcError):
    """A failed call without a reason of the agent."""

    def __init__(self, code):
        self._code = code

    def code(self):
        return self._code

    def details(self):
        return "Stream removed"

    def trailing_metadata(self):
        return ()


@pytest.mark.parametrize("code", ["UNAVAILABLE", "UNKNOWN", "INTERNAL", "DEADLINE_EXCEEDED"])
def test_broken_connection_is_not_called_a_refusal(code):
    error = refusal.translate(Ended(grpc.StatusCode[code]), "uploading h1", "192.0.2.1:6110")

    assert isinstance(error, refusal.ConnectionLost)
    assert error.message.startswith("Uploading h1 failed at 192.0.2.1:6110: ")


def test_policies_compare_by_value(machine):
    assert Policy.parse(machine.policy.encode()) == machine.policy


def test_consumer_can_read_the_receipt_without_the_result(machine):
    manifest = machine.run()

    with machine.connection("hospital-1", manifest) as connected:
        envelope, evidence = connected.session().proof()
        key = connected.evidence().event_log_key

    made = receipt.Receipt.parse(receipt.open_envelope(envelope, key))
    assert made.manifest == manifest.digest().hex()
    assert Evidence.parse(evidence).event_log_key == key


def test_party_collateral_is_judged_with_that_of_the_machine(machine):
    target = dataclasses.replace(
        machine.target(), collateral=CollateralSources(InMemory({CERTIFICATE: (b"no certificate",)}))
    )

    with attest(target) as opening:
        assert opening.verdict.accepted
        assert [one.kind for one in opening.verdict.skipped] == [CERTIFICATE]


def test_missing_collateral_is_fetched_from_the_vendors(server: Server, asking: Asking) -> None:
    snp = SnpMachine.create_at(asking.now)
    evidence = dataclasses.replace(snp.evidence(BINDING), snp_certificates=None, collateral=())
    services = Services(keys=server.address)
    server.reply("/vcek/v1/Milan/crl", Reply(snp.crls[0]))
    held = InMemory({CERTIFICATE: (b"held",)})
    vendors = CollateralSources(held, asking.network(), services)

    sources, problems = vendors.for_evidence(evidence)

    assert [path.partition("?")[0].rpartition("/")[2] for path in server.asked] == [
        snp.processor.chip_id.hex(),
        "crl",
    ]
    assert len(problems) == 1
    assert list(sources.items(CRL)) == [snp.crls[0]]
    assert list(sources.items(CERTIFICATE)) == [b"held", *amd_issuers().items(CERTIFICATE)]


def test_vendors_are_not_asked_by_default(server: Server, asking: Asking) -> None:
    evidence = dataclasses.replace(SnpMachine.create_at(asking.now).evidence(BINDING), collateral=())
    vendors = CollateralSources(services=Services(keys=server.address))

    sources, problems = vendors.for_evidence(evidence)
    assert (list(sources.items(CERTIFICATE)), problems) == (list(amd_issuers().items(CERTIFICATE)), ())
    assert server.asked == []
