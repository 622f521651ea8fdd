#!/bin/sh
# fhir.resources 8.3.0 changes the decimals of a FHIR resource. It reads a measured 1.50 from JSON as 1.5 and rounds
# longer numbers as binary floats. Given Decimal("1.50") it keeps that in its model and still writes 1.5: only the last
# step loses the digit, so a look at the model does not show it.
#
# Seen on 2026-11-30, with fhir-core 1.1.12 and pydantic 2.14.4:
#   1.50 -> Decimal('1.5') -> 1.5
#   12345678901234567.12 -> Decimal('12345678901234568') -> 12345678901234568
#   Decimal('1.50') -> Decimal('1.50') -> 1.5
# FHIR makes the digits part of the value: 0.010 differs from 0.01, and implementations preserve the precision.
# https://hl7.org/fhir/R5/datatypes.html#decimal and https://hl7.org/fhir/R5/json.html#primitive
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet fhir.resources==8.3.0 fhir-core==1.1.12 pydantic==2.14.4

cat >"$work/expected" <<'TEXT'
1.50 -> Decimal('1.5') -> 1.5
12345678901234567.12 -> Decimal('12345678901234568') -> 12345678901234568
Decimal('1.50') -> Decimal('1.50') -> 1.5
TEXT
"$work/venv/bin/python" - >"$work/found" <<'PYTHON'
import re
from decimal import Decimal

from fhir.resources.quantity import Quantity


def show(given, quantity):
    written = re.search(r'"value":([^,}]+)', quantity.model_dump_json()).group(1)
    print(given, "->", repr(quantity.value), "->", written)


for number in ("1.50", "12345678901234567.12"):
    show(number, Quantity.model_validate_json(f'{{"value":{number},"unit":"mmol/L"}}'))
show(repr(Decimal("1.50")), Quantity(value=Decimal("1.50"), unit="mmol/L"))
PYTHON
cat "$work/found"
cmp -s "$work/expected" "$work/found" || { echo "fhir.resources now treats decimals otherwise." >&2; exit 1; }
