"""Other verifiers on the same report and quote: ``python peers.py FOLDER RUNS`` in their own venv.

Needs nothing of this project. Reads what ``verifier.py`` wrote to the folder, prints milliseconds as JSON.
"""

import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

PACKAGES = ("dcap-qvl==0.7.0", "omne-attest==0.1.0")
"""For TDX (Rust behind Python) and for SEV-SNP (Python over ``cryptography``)."""


def _tdx(folder: Path) -> Callable[[], object]:
    qvl = importlib.import_module("dcap_qvl")
    values = json.loads((folder / "collateral.json").read_bytes())
    for name in ("root_ca_crl", "pck_crl", "tcb_info_signature", "qe_identity_signature"):
        values[name] = bytes.fromhex(values[name])
    collateral = qvl.QuoteCollateralV3(**values)
    quote, root = (folder / "quote").read_bytes(), (folder / "intel-root").read_bytes()
    at = int((folder / "at").read_text())
    return lambda: qvl.verify_with_root_ca(quote, collateral, root, at)


def _snp(folder: Path) -> Callable[[], object]:
    omne = importlib.import_module("omne_attest")
    report, leaf, signer, root = ((folder / name).read_bytes() for name in ("report", "vcek", "ask", "ark"))
    pin = importlib.import_module("hashlib").sha256(root).digest()
    policy = omne.Policy(max_vmpl=0, reject_debug=True)
    return lambda: omne.verify(report, leaf, signer, root, pin, policy)


def main(folder: Path, runs: int) -> None:
    """Makes each verdict once before measuring; a verifier that rejects the evidence raises an error."""
    found = {}
    for package, make in zip(PACKAGES, (_tdx, _snp), strict=True):
        judge = make(folder)
        judge()
        values = []
        for _ in range(runs):
            began = time.process_time()
            judge()
            values.append(1000 * (time.process_time() - began))
        found[package] = values
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
