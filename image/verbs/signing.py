"""The verbs of the collection ``image`` about Secure Boot: a publisher's keys, and a signed image."""

import hashlib
from pathlib import Path
from typing import Any

from cloister.cli.shell.verb import verb
from image.verbs import options

_FOLDER = ".cloister/secure-boot"
_KEYS = {"keys": f"folder of the Secure Boot keys (default: {_FOLDER})"}


@verb(
    help={**_KEYS, "owner": "your organisation, which the certificates name", **options.JSON},
    example="invoke image.keys --owner Hospital",
)
def keys(_: Any, keys: str = _FOLDER, owner: str = "Cloister", json: bool = False) -> None:
    """Make your own Secure Boot keys: PK, KEK and db, with mode 0600. Keys are never overwritten."""
    from image.secureboot import keys as secure_boot

    made = secure_boot.create(Path(keys), owner)
    facts = {name: hashlib.sha256(signer.der()).hexdigest() for name, signer in made.items()}
    if json:
        options.print_json({"folder": keys, "certificates": facts})
        return
    for name, digest in facts.items():
        print(f"{name:4}{digest}")
    print(f"Wrote keys and certificates to {keys}. Keep a copy of it elsewhere; sign with `invoke image.sign`.")


@verb(help={**options.IMAGE, **_KEYS, **options.JSON}, example="invoke image.sign --image base")
def sign(_: Any, image: str = options.BASE, recipe: str = "", keys: str = _FOLDER, json: bool = False) -> None:
    """Sign an image for Secure Boot, into out/image/NAME-signed; the image itself stays as it is."""
    from image.secureboot import signing

    folder = options.folder(image, recipe)
    statement = signing.sign(folder, Path(keys))
    if json:
        print(statement.encode().decode())
        return
    for name, file in statement.outputs.items():
        print(f"{name:18}{file.size:>10}  {file.sha256}")
    for index, value in statement.pcrs.items():
        print(f"PCR {index:<3} {value}  with Secure Boot")
    print(f"Signed the image {statement.manifest} in {signing.folder(folder)}.")
