#!/bin/sh
# The vectors of chunked encryption in cryptography_vectors 50.0.2 do not open with cryptography.cobblestone 50.0.2, not
# even the empty message under the right key: InvalidTag. Their keys are derived with HKDF-Expand under SHA-256, the
# library's under SHA-512, and nothing in a vector says so; its member `aead` names the cipher that the library has. Who
# checks an implementation of Cobblestone-128 or Cobblestone-256 against these files finds it wrong when it is right.
#
# Seen on 2026-11-30: AEAD_AES_128_GCM: InvalidTag, key by SHA256; AEAD_AES_256_GCM: InvalidTag, key by SHA256
# Both named forms of the specification use SHA-512: https://c2sp.org/chunked-encryption
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet cryptography==50.0.2 cryptography_vectors==50.0.2

found=$("$work/venv/bin/python" - <<'PYTHON'
import base64
import importlib.resources
import json

import cryptography_vectors
from cryptography import cobblestone
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

folder = importlib.resources.files(cryptography_vectors) / "chunked-encryption"
vectors = json.loads((folder / "vectors.json").read_text())["vectors"]
decryptors = {
    "AEAD_AES_128_GCM": cobblestone.Cobblestone128Decryptor,
    "AEAD_AES_256_GCM": cobblestone.Cobblestone256Decryptor,
}
answers = []
for vector in vectors:
    if vector["comment"] != "empty message" or vector["aead"] not in decryptors:
        continue
    key, message = bytes.fromhex(vector["key"]), base64.b64decode(vector["ciphertext"])
    try:
        decryptor = decryptors[vector["aead"]](key, b"")
        decryptor.update(message)
        decryptor.finalize()
        opened = "opened"
    except InvalidTag as error:
        opened = type(error).__name__
    wanted = bytes.fromhex(vector["aead_key"])
    info = b"c2sp.org/chunked-encryption@v1+" + vector["aead"].encode() + b"\0" + message[:24]
    by = [
        algorithm.__name__
        for algorithm in (hashes.SHA256, hashes.SHA512)
        if HKDFExpand(algorithm(), len(wanted) + 12 + 32, info).derive(key)[: len(wanted)] == wanted
    ]
    answers.append(f"{vector['aead']}: {opened}, key by {' '.join(by)}")
print(*answers, sep="; ")
PYTHON
)
echo "$found"
test "$found" = "AEAD_AES_128_GCM: InvalidTag, key by SHA256; AEAD_AES_256_GCM: InvalidTag, key by SHA256" ||
    { echo "The vectors now give: $found" >&2; exit 1; }
