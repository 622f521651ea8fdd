#!/bin/sh
# pycddl 0.6.4 (CDDL, RFC 8610) reads a range with a negative bound and then rejects every value, also one in the range:
# the complaint about the schema comes with the first value, not with the schema. A bound that has a name is worse: of
# "min .. 127" the rest is dropped without a word, and only the value of min itself is accepted. Drafts use both, such
# as the tiers of trust of draft-ietf-rats-ear, which are -128 .. 127.
#
# Seen on 2026-11-30, with cbor2 6.3.0: {"-128 .. 127": "schema is taken, 5 is rejected", "int .ge -128": "schema is
# taken, 5 is accepted", "min .. 127": "schema is taken, 5 is rejected"}
# A range has two bounds that are numbers of one kind, which may be negative, and may be names:
# https://www.rfc-editor.org/rfc/rfc8610#section-2.2.2.1
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet pycddl==0.6.4 cbor2==6.3.0

found=$("$work/venv/bin/python" - <<'PYTHON'
import json

import cbor2
import pycddl

SCHEMAS = {"-128 .. 127": "t = -128 .. 127", "int .ge -128": "t = int .ge -128", "min .. 127": "t = min .. 127\nmin = 1"}


def said(text):
    try:
        schema = pycddl.Schema(text)
    except ValueError:
        return "schema is refused"
    try:
        schema.validate_cbor(cbor2.dumps(5))
    except pycddl.ValidationError:
        return "schema is taken, 5 is rejected"
    return "schema is taken, 5 is accepted"


print(json.dumps({name: said(text) for name, text in SCHEMAS.items()}))
PYTHON
)
echo "$found"
expected='{"-128 .. 127": "schema is taken, 5 is rejected", "int .ge -128": "schema is taken, 5 is accepted", "min .. 127": "schema is taken, 5 is rejected"}'
test "$found" = "$expected" || { echo "pycddl now reads ranges otherwise: $found" >&2; exit 1; }
