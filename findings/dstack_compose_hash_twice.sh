#!/bin/sh
# dstack-sdk 0.5.4 (Python): get_compose_hash(compose) takes docker_config out of the dictionary that it is given. The
# same call, repeated, returns another digest, and what the caller then writes or sends has no docker_config any more.
#
# Seen on 2026-12-01:
#   docker_config True -> 8d9fbed09f903de60f1741ea1d7cbc706883ecb5714c4cbc394270ac83992ab6
#   docker_config False -> f9c4f2e128e34cc1e84b78002312aaf9bf3fe5c9b90f5e0dba0d395a2d937637
# The digest is the app's identity: dstack measures the SHA-256 of its compose file into RTMR 3 (compose-hash), and a
# verifier compares that. The function's documentation says that it calculates, and nothing of a change:
# https://github.com/Dstack-TEE/dstack/blob/master/sdk/python/src/dstack_sdk/get_compose_hash.py
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet dstack-sdk==0.5.4

cat >"$work/expected" <<'TEXT'
docker_config True -> 8d9fbed09f903de60f1741ea1d7cbc706883ecb5714c4cbc394270ac83992ab6
docker_config False -> f9c4f2e128e34cc1e84b78002312aaf9bf3fe5c9b90f5e0dba0d395a2d937637
TEXT
"$work/venv/bin/python" - >"$work/found" <<'PYTHON'
from dstack_sdk import get_compose_hash

compose = {
    "runner": "docker-compose",
    "manifest_version": 2,
    "name": "app",
    "docker_compose_file": "services: {}\n",
    "docker_config": {"registry": "registry.example", "username": "u"},
}
for _ in range(2):
    print("docker_config", "docker_config" in compose, "->", get_compose_hash(compose))
PYTHON
cat "$work/found"
cmp -s "$work/expected" "$work/found" || { echo "get_compose_hash now answers otherwise." >&2; exit 1; }
