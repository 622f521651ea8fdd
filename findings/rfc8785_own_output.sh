#!/bin/sh
# rfc8785 0.1.4 refuses its own output. It writes the float 1e20 as the canonical 100000000000000000000, as it should;
# Python's json reads that as an integer, and rfc8785 takes no integer beyond 2**53 - 1. So a document that one party
# made canonical, signed and sent cannot be made canonical again by the next. jcs 0.2.1 returns the same bytes.
# Floats from 2**53 up to 1e21 are affected, such as a time in nanoseconds that a program keeps as one.
#
# Seen on 2026-11-30: {"n":100000000000000000000}; rfc8785: IntegerDomainError; jcs: same
# RFC 8785, section 3.2.2.3, takes each JSON number as a double, however it is written:
# https://www.rfc-editor.org/rfc/rfc8785#section-3.2.2.3
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet rfc8785==0.1.4 jcs==0.2.1

found=$("$work/venv/bin/python" - <<'PYTHON'
import json

import jcs
import rfc8785

first = rfc8785.dumps({"n": 1e20})
answers = []
for name, canonical in (("rfc8785", rfc8785.dumps), ("jcs", jcs.canonicalize)):
    try:
        answers.append(f"{name}: {'same' if canonical(json.loads(first)) == first else 'other'}")
    except ValueError as error:
        answers.append(f"{name}: {type(error).__name__}")
print(first.decode(), *answers, sep="; ")
PYTHON
)
echo "$found"
test "$found" = '{"n":100000000000000000000}; rfc8785: IntegerDomainError; jcs: same' ||
    { echo "The second pass now gives: $found" >&2; exit 1; }
