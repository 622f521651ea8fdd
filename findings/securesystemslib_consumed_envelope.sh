#!/bin/sh
# securesystemslib 1.6.0 takes apart the dictionary that Envelope.from_dict is given: afterwards each entry of its
# "signatures" is empty. A program that then stores, forwards or parses the dictionary has an envelope without
# signatures.
#
# Seen on 2026-11-30, with cryptography 50.0.2: before: ['keyid', 'sig']; after: []; second call: KeyError
# The documentation of Envelope.from_dict does not say that it changes its argument; only that of Signature.from_dict,
# which it calls, has a note:
# https://github.com/secure-systems-lab/securesystemslib/blob/main/securesystemslib/dsse.py
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet securesystemslib==1.6.0 cryptography==50.0.2

found=$("$work/venv/bin/python" - <<'PYTHON'
import json

from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner

envelope = Envelope(b"{}", "application/vnd.in-toto+json", {})
envelope.sign(CryptoSigner.generate_ed25519())
received = json.loads(json.dumps(envelope.to_dict()))

before = sorted(received["signatures"][0])
Envelope.from_dict(received)
after = sorted(received["signatures"][0])
try:
    Envelope.from_dict(received)
    second = "accepted"
except (KeyError, ValueError) as error:
    second = type(error).__name__
print(f"before: {before}; after: {after}; second call: {second}")
PYTHON
)
echo "$found"
test "$found" = "before: ['keyid', 'sig']; after: []; second call: KeyError" ||
    { echo "Envelope.from_dict now behaves otherwise: $found" >&2; exit 1; }
