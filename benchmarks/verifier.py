"""The duration of a verdict: offline, in one warm process on one core, with evidence of the test kit.

Processor time is measured: nothing here waits, and other load on the machine changes it little.

Other verifiers are measured on the same report and quote, in turns with this one. They only appraise hardware, so
compare them with the figure for the bare report or quote. Many reports are compared with the bare check of their
signatures, which nothing can be quicker than.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import peers
from benchmarks.measurement import CHECKOUT, INSTALLED, BenchmarkError, BenchmarkResult

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
LOG_SIZE = 64 * 1024

TIMES = {(peers.TDX, "dcap-qvl"): 3, (peers.SNP, "omne-attest"): 2}
"""How many times as long as another verifier an appraisal may take."""
REPORTS, CHIPS = 10_000, 50

_RUNS = 40
"""Verdicts for each repetition that is asked for."""
_IMPORT = (
    "import time; began = time.process_time(); import cloister.attestation.verifier; print(time.process_time() - began)"
)


def measure(repeat: int) -> list[BenchmarkResult]:
    """Verdicts on all platforms, replay and import; the verifiers of others where they can be installed."""
    runs = _RUNS * repeat
    found = [
        BenchmarkResult(f"verdict, {name}", _timed(judge, runs), "ms", reach, "evidence from bytes to verdict")
        for name, judge, reach in _verdicts()
    ]
    found.append(BenchmarkResult("replay, 64 KiB event log", _timed(_replay(), runs), "ms", 5, "parsed and replayed"))
    with tempfile.TemporaryDirectory(prefix="cloister-peers-") as made:
        folder = Path(made)
        found += _beside_others(folder, _bare(folder), runs)
    found.append(_many())
    _import()
    seconds = tuple(_import() for _ in range(repeat))
    return [
        *found,
        BenchmarkResult("import of the verifier", seconds, "s", 0.2, "`cloister.attestation.verifier`, new process"),
    ]


def _timed(run: Callable[[], object], runs: int, *, warm: bool = True) -> tuple[float, ...]:
    if warm:
        run()
    values = []
    for _ in range(runs):
        began = time.process_time()
        run()
        values.append(1000 * (time.process_time() - began))
    return tuple(values)


def _verdicts() -> list[tuple[str, Callable[[], object], float]]:
    """Name, a function that judges, and milliseconds to reach."""
    from cloister.attestation.binding import SessionBinding
    from cloister.attestation.collateral_source import CollateralItem
    from cloister.attestation.evidence import Evidence
    from cloister.attestation.policy.policy import Policy
    from cloister.attestation.testkit import AzureTdxMachine, GcpTd
    from cloister.attestation.verifier import verify
    from cloister.attestation.x509.roots import Anchor
    from tools.exhaustive import SESSION, SUBJECTS

    def judging(evidence: Evidence, policy: Policy, roots: tuple[Anchor, ...]) -> Callable[[], object]:
        data = evidence.encode()

        def judge() -> None:
            verify(Evidence.parse(data), policy, purpose=SESSION, at=AT, roots=roots).require_accepted()

        return judge

    def subject(name: str) -> Callable[[], object]:
        made = SUBJECTS[name]()
        return judging(made.evidence, made.policy, made.roots)

    def with_collateral(machine: AzureTdxMachine | GcpTd) -> Callable[[], object]:
        binding = SessionBinding(SESSION.nonce, SESSION.tls_key_digest, SESSION.hpke_key_digest)
        kinds = machine.intel.collateral().contents.items()
        items = tuple(CollateralItem(kind, content) for kind, contents in kinds for content in contents)
        evidence = replace(machine.evidence(binding), collateral=items)
        return judging(evidence, machine.policy(), machine.roots())

    return [
        ("SEV-SNP", subject("snp"), 5),
        ("TDX", subject("tdx"), 10),
        ("Azure SEV-SNP", subject("azure"), 15),
        ("Azure TDX", with_collateral(AzureTdxMachine.create(AT)), 15),
        ("GCP SEV-SNP", subject("gcp"), 15),
        ("GCP TDX", with_collateral(GcpTd.create(AT)), 15),
    ]


def _replay() -> Callable[[], object]:
    from cloister.attestation.testkit import BootEvent, encode_event_log
    from cloister.attestation.tpm.eventlog import EventLog

    empty = len(encode_event_log(()))
    one = len(encode_event_log((BootEvent(4, 0xD, b"x" * 64),))) - empty
    data = encode_event_log(tuple(BootEvent(number % 8, 0xD, b"x" * 64) for number in range((LOG_SIZE - empty) // one)))
    return lambda: EventLog.parse(data).replay(range(24))


def _bare(folder: Path) -> list[tuple[str, Callable[[], object]]]:
    """A report and a quote without a session, written to ``folder`` for the others."""
    from cloister.attestation.collateral_source import QE_IDENTITY, TCB_INFO
    from cloister.attestation.raw.verifier import Raw, RawSnp, RawTdx, verify_raw
    from cloister.attestation.testkit import SnpMachine, Td, evidence_policy

    machine, td = SnpMachine.create_at(AT), Td.create(AT)
    processor, intel = machine.processor, td.intel
    _, signer = processor.amd.signers[processor.kind]
    report, quote = processor.report(), intel.quote(td.report(bytes(64)))
    collateral = intel.collateral()
    signed = {kind: json.loads(next(iter(collateral.items(kind)))) for kind in (TCB_INFO, QE_IDENTITY)}
    raw = {kind: next(iter(collateral.items(kind))).decode() for kind in (TCB_INFO, QE_IDENTITY)}
    files = {
        "at": str(int(AT.timestamp())).encode(),
        "report": report,
        "vcek": processor.certificate,
        "ask": signer,
        "ark": processor.amd.root,
        "ark.pem": _pem(processor.amd.root).encode(),
        "chain.pem": _pem(processor.certificate, signer, processor.amd.root).encode(),
        "quote": quote,
        "intel-root": intel.root,
        "intel-root.pem": _pem(intel.root).encode(),
        "collateral.json": json.dumps(
            {
                "pck_crl_issuer_chain": _pem(intel.authority, intel.root),
                "root_ca_crl": intel.crl(of_root=True).hex(),
                "pck_crl": intel.crl().hex(),
                "tcb_info_issuer_chain": _pem(intel.signer, intel.root),
                "tcb_info": _member(raw[TCB_INFO], "tcbInfo"),
                "tcb_info_signature": signed[TCB_INFO]["signature"],
                "qe_identity_issuer_chain": _pem(intel.signer, intel.root),
                "qe_identity": _member(raw[QE_IDENTITY], "enclaveIdentity"),
                "qe_identity_signature": signed[QE_IDENTITY]["signature"],
            }
        ).encode(),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)

    def judging(given: Raw, policy: object, anchor: object, items: object) -> Callable[[], object]:
        def judge() -> None:
            found = verify_raw(given, policy, report_data=None, at=AT, collateral=items, roots=(anchor,))
            if not found.genuine:
                raise BenchmarkError(f"The test kit's evidence is refused: {found.failures}.")

        return judge

    policies = [evidence_policy(one.policy()) for one in (machine, td)]
    snp = judging(RawSnp(report, None), policies[0], processor.amd.anchor(), processor.collateral())
    return [(peers.SNP, snp), (peers.TDX, judging(RawTdx(quote), policies[1], intel.anchor(), collateral))]


def _member(document: str, name: str) -> str:
    """The text of one member exactly as in the document, which is what the signature covers."""
    start = document.index(f'"{name}":') + len(name) + 3
    _, end = json.JSONDecoder().raw_decode(document, start)
    return document[start:end]


def _pem(*certificates: bytes) -> str:
    import ssl

    return "".join(ssl.DER_cert_to_PEM_cert(der) for der in certificates)


def _beside_others(folder: Path, bare: list[tuple[str, Callable[[], object]]], runs: int) -> Iterator[BenchmarkResult]:
    """This verifier and those of others in turns, the latter in a venv of their own; without a package index, this one
    alone.
    """
    others = _start_others(folder)
    names: list[tuple[str, str]] = json.loads(others.stdout.readline()) if others and others.stdout else []
    ours: dict[str, list[float]] = {name: [] for name, _ in bare}
    theirs: list[list[float]] = [[] for _ in names]
    for _, judge in bare:
        judge()
    for _ in range(runs // peers.TURN):
        for name, judge in bare:
            ours[name].append(peers.turn(judge))
        if others and others.stdin and others.stdout:
            others.stdin.write("\n")
            others.stdin.flush()
            for values, value in zip(theirs, json.loads(others.stdout.readline()), strict=True):
                values.append(value)
    if others:
        others.communicate()
    for name, values in ours.items():
        yield BenchmarkResult(f"{name} alone", tuple(values), "ms", None, "from bytes to verdict, nothing kept")
    for (kind, package), values in zip(names, theirs, strict=True):
        yield BenchmarkResult(f"{kind}, {package}", tuple(values), "ms", None, "the same bytes, in turns")
        times = tuple(one / other for one, other in zip(ours[kind], values, strict=True))
        target = TIMES.get((kind, package.split()[0]))
        yield BenchmarkResult(f"{kind} alone, times {package}", times, "x", target, "each run beside the other's")


def _start_others(folder: Path) -> subprocess.Popen[str] | None:
    """The process of the other verifiers; None where they cannot be installed."""
    home = folder / "venv"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
    if subprocess.run([*install, *peers.PACKAGES], capture_output=True, check=False).returncode != 0:
        print(f"{', '.join(peers.PACKAGES)} cannot be installed: not measured", file=sys.stderr)
        return None
    argv = [python, CHECKOUT / "benchmarks" / "peers.py", folder]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _many() -> BenchmarkResult:
    """Reports of several chips through the library, beside the bare check of each signature with its key at hand."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, utils

    from cloister.attestation.collateral.cache import VerificationCache
    from cloister.attestation.collateral_source import CRL, InMemory
    from cloister.attestation.raw.verifier import RawSnp, verify_raw
    from cloister.attestation.snp.report import SnpReport
    from cloister.attestation.testkit import Processor, SnpMachine, evidence_policy

    first = SnpMachine.create_at(AT)
    amd = first.processor.amd
    chips = [Processor.create(AT, amd=amd, chip_id=bytes([number]) * 64) for number in range(1, CHIPS + 1)]
    pairs = [(chip.report(report_data=number.to_bytes(64)), chip) for number in range(20) for chip in chips]
    tables = {chip.chip_id: chip.table() for chip in chips}
    signed = []
    for data, chip in pairs:
        report = SnpReport.parse(data)
        signature = utils.encode_dss_signature(report.signature_r, report.signature_s)
        signed.append((chip.key.public_key(), signature, report.signed))
    policy, anchor, collateral = evidence_policy(first.policy()), amd.anchor(), InMemory({CRL: (amd.crl(),)})
    algorithm, cache = ec.ECDSA(hashes.SHA384()), VerificationCache()

    def library() -> None:
        for data, chip in pairs:
            raw = RawSnp(data, tables[chip.chip_id])
            found = verify_raw(
                raw, policy, report_data=None, at=AT, collateral=collateral, roots=(anchor,), cache=cache
            )
            if not found.genuine:
                raise BenchmarkError(f"The test kit's evidence is refused: {found.failures}.")

    def bare() -> None:
        for key, signature, data in signed:
            key.verify(signature, data, algorithm)

    times = []
    for _ in range(REPORTS // len(pairs)):
        (ours,), (theirs,) = _timed(library, 1, warm=False), _timed(bare, 1, warm=False)
        times.append(ours / theirs)
    how = "time for all checks over time for the signature alone, which is 1 / 0.7 at most"
    return BenchmarkResult(f"{REPORTS} SEV-SNP reports of {CHIPS} chips", tuple(times), "x", 1 / 0.7, how)


def _import() -> float:
    environment = os.environ | INSTALLED
    argv = [sys.executable, "-c", _IMPORT]
    done = subprocess.run(argv, cwd=CHECKOUT, env=environment, capture_output=True, check=True)
    return float(done.stdout)
