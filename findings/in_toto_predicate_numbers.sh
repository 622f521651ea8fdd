#!/bin/sh
# in-toto-attestation 0.9.3 changes the integers in a statement's predicate: 3 is written as 3.0, and a time in
# nanoseconds in exponent form and rounded. The statement passes validate(), so the wrong number is what gets signed.
#
# Seen on 2026-11-30, with protobuf 7.36.2: {"count": 3.0, "time": 1.7700000001234568e+18}; time is off by -21
# The predicate is a google.protobuf.Struct, whose only number is a double:
# https://protobuf.dev/reference/protobuf/google.protobuf/#value
# The specification of the statement calls it an object and names no limit for its numbers:
# https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet in-toto-attestation==0.9.3 protobuf==7.36.2

found=$("$work/venv/bin/python" - <<'PYTHON'
import hashlib
import json

from google.protobuf.json_format import MessageToJson
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement

time = 1770000000123456789
subject = ResourceDescriptor(name="model", digest={"sha256": hashlib.sha256(b"model").hexdigest()})
statement = Statement([subject.pb], "https://example.org/run/v1", {"count": 3, "time": time})
statement.validate()
predicate = json.loads(MessageToJson(statement.pb))["predicate"]
print(f"{json.dumps(predicate, sort_keys=True)}; time is off by {int(predicate['time']) - time}")
PYTHON
)
echo "$found"
test "$found" = '{"count": 3.0, "time": 1.7700000001234568e+18}; time is off by -21' ||
    { echo "The predicate is now written as $found" >&2; exit 1; }
