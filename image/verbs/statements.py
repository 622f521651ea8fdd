"""The verbs of ``image`` for signed statements. Each one parses options, calls one function and prints the result."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cloister.cli.shell.verb import verb
from image.verbs import options


@verb(
    help={
        **options.IMAGE,
        **options.JSON,
        "key": "your private key, which names you as the builder",
        "output": "the file to write (default: provenance.json)",
    },
    required=("key",),
    example="invoke image.provenance --key lab.pem",
)
def provenance(
    _: Any,
    key: str = "",
    image: str = options.BASE,
    recipe: str = "",
    output: str = "provenance.json",
    json: bool = False,
) -> None:
    """State that you have built an image in this checkout, and sign it: SLSA provenance in a DSSE envelope."""
    from cloister.cli.shell import passphrase
    from cloister.keyfile.private import read_private_key
    from cloister.protocol.signingkey import key_id, spki_of
    from image.statements import provenance, signed

    signed.require_replaceable(Path(output))
    private = read_private_key(Path(key), passphrase.ask)
    builder, now = key_id(spki_of(private.public_key())), datetime.now(UTC)
    stated = provenance.state(options.folder(image, recipe), recipe, builder=builder, now=now)
    signed.write(stated, private, Path(output))
    if json:
        options.print_json({"file": output, "image": stated.manifest_digest.hex(), "builder": builder})
        return
    print(f"Wrote {output}: the builder {builder} has made the image {stated.manifest_digest.hex()}.")


@verb(
    help={
        "key": "the publisher's private key",
        "file": "the publisher's last statement, which is continued (default: lifecycle.json)",
        "first": "this is the publisher's first statement: the file is made",
        "add": "an image that is current: flavor, or the folder of an image; may be repeated",
        "withdraw": "digest of the manifest of an image that must not be used any more; may be repeated",
        "days": "how long the statement is valid",
        **options.JSON,
    },
    required=("key",),
    repeated=("add", "withdraw"),
    example="invoke image.lifecycle --key team.pem --add base --days 30 --first",
)
def lifecycle(
    _: Any,
    key: str = "",
    file: str = "lifecycle.json",
    add: Sequence[str] | None = None,
    withdraw: Sequence[str] | None = None,
    days: int = 30,
    first: bool = False,
    json: bool = False,
) -> None:
    """State which of your images are current and which are withdrawn, and sign it for policies that demand it."""
    from cloister.cli.shell import passphrase
    from cloister.keyfile.private import read_private_key
    from cloister.protocol import canonical
    from image.build.output import locate
    from image.statements import lifecycle

    stated = lifecycle.issue(
        Path(file),
        read_private_key(Path(key), passphrase.ask),
        add=[locate(one) for one in add or ()],
        withdraw=withdraw or (),
        days=days,
        first=first,
        now=datetime.now(UTC),
    )
    if json:
        options.print_json({"file": file, "counter": stated.counter, "expires": canonical.to_time(stated.expires)})
        return
    images = "1 image" if len(stated.images) == 1 else f"{len(stated.images)} images"
    print(f"Wrote {file}: statement {stated.counter} on {images}, until {stated.expires:%F %T} UTC.")


@verb(
    positional=["file"],
    help={
        "file": "a statement: provenance or life cycle",
        "key": "the public key that must have signed it",
        "image": "flavor, or the folder or manifest of an image that it must be about, which its publisher must list "
        "as current now (default: any)",
        **options.JSON,
    },
    required=("key",),
    example="invoke image.inspect provenance.json --key lab.pub --image base",
)
def inspect(_: Any, file: str, key: str = "", image: str = "", json: bool = False) -> None:
    """Verify who has signed a statement about images, and show what it says."""
    from cloister.keyfile.public import read_public_key
    from image.build.output import locate, read_manifest
    from image.statements import signed

    found = signed.examine(Path(file), read_public_key(Path(key)).spki)
    if image:
        found.require_about(read_manifest(locate(image)), datetime.now(UTC))
    if json:
        # Not as it was signed: other tools write names in it as they like, also with what steers a terminal.
        options.print_json(found.statement.value())
        return
    print("\n".join(found.lines(datetime.now(UTC))))
