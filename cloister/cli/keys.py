"""The verb that makes a key pair."""

from pathlib import Path

from invoke.context import Context

from cloister.cli.shell import show
from cloister.cli.shell.settings import JSON_HELP
from cloister.cli.shell.verb import verb
from cloister.errors import InputError


@verb(
    help={
        "output": "file of the private key (default: cloister.pem); the public one stands beside it as .pub",
        "kind": "ed25519, ecdsa or rsa",
        "json": JSON_HELP,
    }
)
def keys(c: Context, output: str = "cloister.pem", kind: str = "ed25519", json: bool = False) -> None:
    """Make your key pair: the private key stays with you, the public one goes to the others."""
    from cloister.client.files import keys as pairs

    try:
        chosen = pairs.Kind(kind)
    except ValueError as error:
        known = ", ".join(pairs.Kind)
        raise InputError(f"{kind!r} is not a kind of key.", hint=f"The kinds are: {known}.") from error
    path = Path(output)
    made = pairs.generate(path, chosen)
    public = pairs.public_path(path)
    if json:
        show.facts({"private": str(path), "public": str(public), "kind": chosen.value, "fingerprint": made.id})
        return
    print(f"Private key  {path}   keep it to yourself; there is no other copy")
    print(f"Public key   {public}   give it to the others")
    print(f"Fingerprint  {made.id}   tell it to the others on another way, so that they can compare")
