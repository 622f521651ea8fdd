"""The verb ``keys``."""

from pathlib import Path

from cloister import client
from cloister.cli.shell import passphrase, show
from cloister.cli.shell.options import JSON
from cloister.cli.shell.settings import Settings, party_verb
from cloister.errors import InputError
from cloister.protocol import canonical


@party_verb(
    options=[JSON],
    help={
        "output": "file of the private key (default: cloister.pem); the public key is written beside it as .pub",
        "kind": "ed25519, ecdsa or rsa",
        "fingerprint": "make nothing; print the fingerprint of the key in this file, private or public",
    },
    example="keys --output me.pem",
)
def keys(settings: Settings, output: str = "cloister.pem", kind: str = "ed25519", fingerprint: str = "") -> None:
    """Make a key pair: keep the private key, give the public key to the owner and the platform team."""
    if fingerprint:
        _describe(settings, Path(fingerprint))
        return
    try:
        chosen = client.KeyType(kind)
    except ValueError as error:
        raise InputError(f"--kind must be one of {', '.join(client.KeyType)}, not {kind!r}.") from error
    path = Path(output)
    made = client.generate_key(path, chosen)
    public = client.public_path(path)
    if settings.json:
        show.facts({"private": str(path), "public": str(public), "kind": chosen.value, "fingerprint": made.id})
        return
    print(f"Private key  {path}   keep it secret, and keep a backup: this is the only copy")
    print(f"Public key   {public}   give it to the owner and the platform team")
    print(f"Fingerprint  {made.id}   tell them over another channel, such as the phone, to compare")


def _describe(settings: Settings, path: Path) -> None:
    found = client.describe_key(path, passphrase.ask)
    if found.note:
        show.note(found.note)
    if settings.json:
        key = canonical.to_base64(found.spki)
        show.facts({"file": str(path), "kind": found.kind, "fingerprint": found.id, "key": key})
        return
    print(f"Kind         {found.kind}")
    print(f"Fingerprint  {found.id}   compare it over another channel, such as the phone")
