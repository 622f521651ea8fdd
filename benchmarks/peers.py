"""Other verifiers on the same report and quote: ``python peers.py FOLDER`` in their own venv.

Needs nothing of this project. Reads what ``verifier.py`` wrote to the folder, prints the names of the verifiers that
accept it as JSON, and for each line of its input has one turn with each and prints milliseconds as JSON: so the caller
measures its own in between, under the same load.
"""

import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

PACKAGES = ("dcap-qvl==0.7.0", "omne-attest==0.1.0", "cmcp-runtime==0.7.1")
"""For TDX (Rust behind Python), for SEV-SNP, and for both (Python over ``cryptography``)."""

TDX, SNP = "TDX quote", "SEV-SNP report"


def _dcap_qvl(folder: Path) -> Callable[[], object]:
    qvl = importlib.import_module("dcap_qvl")
    values = json.loads((folder / "collateral.json").read_bytes())
    for name in ("root_ca_crl", "pck_crl", "tcb_info_signature", "qe_identity_signature"):
        values[name] = bytes.fromhex(values[name])
    collateral = qvl.QuoteCollateralV3(**values)
    quote, root = (folder / "quote").read_bytes(), (folder / "intel-root").read_bytes()
    at = int((folder / "at").read_text())
    return lambda: qvl.verify_with_root_ca(quote, collateral, root, at)


def _omne(folder: Path) -> Callable[[], object]:
    omne = importlib.import_module("omne_attest")
    report, leaf, signer, root = ((folder / name).read_bytes() for name in ("report", "vcek", "ask", "ark"))
    pin = importlib.import_module("hashlib").sha256(root).digest()
    policy = omne.Policy(max_vmpl=0, reject_debug=True)
    return lambda: omne.verify(report, leaf, signer, root, pin, policy)


def _cmcp_snp(folder: Path) -> Callable[[], object]:
    cmcp = importlib.import_module("cmcp_verify.sev_snp")
    report = (folder / "report").read_bytes()
    launched = "sha384:" + importlib.import_module("hashlib").sha384(report[0x90:0xC0]).hexdigest()
    chain, root = (folder / "chain.pem").read_bytes(), (folder / "ark.pem").read_bytes()

    def judge() -> None:
        found = cmcp.verify_sev_snp_measurement(launched, report, None, chain, root)
        if not found.verified or "report_signature" not in found.verified_fields:
            raise ValueError(f"{found.failure_reason}: {found.details}")

    return judge


def _cmcp_tdx(folder: Path) -> Callable[[], object]:
    cmcp = importlib.import_module("cmcp_verify.tdx")
    quote, root = (folder / "quote").read_bytes(), (folder / "intel-root.pem").read_bytes()

    def judge() -> None:
        found = cmcp.verify_tdx_quote(quote, root)
        if not found.verified:
            raise ValueError(f"{found.failure_reason}: {found.details}")

    return judge


TURN = 10
"""Verdicts in one turn: both sides are measured warm."""


def turn(judge: Callable[[], object]) -> float:
    """Milliseconds of processor time for one verdict, the mean of a turn."""
    began = time.process_time()
    for _ in range(TURN):
        judge()
    return 1000 * (time.process_time() - began) / TURN


MAKERS = (
    (TDX, PACKAGES[0], _dcap_qvl),
    (SNP, PACKAGES[1], _omne),
    (SNP, PACKAGES[2], _cmcp_snp),
    (TDX, PACKAGES[2], _cmcp_tdx),
)


def main(folder: Path) -> None:
    """Makes each verdict once before measuring; a verifier that rejects the evidence is named on standard error."""
    judges: list[Callable[[], object]] = []
    names: list[tuple[str, str]] = []
    for kind, package, make in MAKERS:
        try:
            judge = make(folder)
            judge()
        except Exception as error:  # noqa: BLE001 - whatever another's verifier raises
            print(f"{package} does not judge the {kind}: {error}", file=sys.stderr)
            continue
        judges.append(judge)
        names.append((kind, package.replace("==", " ")))
    print(json.dumps(names), flush=True)
    for _ in sys.stdin:
        print(json.dumps([turn(judge) for judge in judges]), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
