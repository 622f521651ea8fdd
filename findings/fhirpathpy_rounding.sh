#!/bin/sh
# fhirpathpy 2.2.4 computes two operations of FHIRPath as Python does: round(n) takes a half to the even digit, so that
# a lab value of 2.25 becomes 2.2, and mod of integers takes the sign of the divisor. Its own mod of decimals and its div
# truncate, so that for integers (a div b) * b + (a mod b) is not a.
#
# Seen on 2026-12-01:
#   (0.5).round(0) -> 0
#   (2.25).round(1) -> 2.2
#   (2.35).round(1) -> 2.4
#   (-5) mod 3 -> 1
#   (-5.5) mod 3 -> -2.5
#   ((-5) div 3) * 3 + ((-5) mod 3) -> -2
# FHIRPath wants a traditional round ("0.5 or higher will round to 1"), and as mod the remainder of truncated division:
# https://hl7.org/fhirpath/N1/#roundprecision--integer--decimal and https://hl7.org/fhirpath/N1/#mod
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet fhirpathpy==2.2.4

cat >"$work/expected" <<'TEXT'
(0.5).round(0) -> 0
(2.25).round(1) -> 2.2
(2.35).round(1) -> 2.4
(-5) mod 3 -> 1
(-5.5) mod 3 -> -2.5
((-5) div 3) * 3 + ((-5) mod 3) -> -2
TEXT
"$work/venv/bin/python" - >"$work/found" <<'PYTHON'
from fhirpathpy import evaluate

for expression in (
    "(0.5).round(0)",
    "(2.25).round(1)",
    "(2.35).round(1)",
    "(-5) mod 3",
    "(-5.5) mod 3",
    "((-5) div 3) * 3 + ((-5) mod 3)",
):
    print(expression, "->", *evaluate({}, expression))
PYTHON
cat "$work/found"
cmp -s "$work/expected" "$work/found" || { echo "fhirpathpy now rounds or divides otherwise." >&2; exit 1; }
