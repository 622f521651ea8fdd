"""The verb ``review``."""

from pathlib import Path

from cloister import client
from cloister.cli.shell import show
from cloister.cli.shell.options import JSON, KEY
from cloister.cli.shell.settings import Settings, party_verb


@party_verb(
    positional=["manifest"],
    options=[KEY.described("your private key, to see which party you are (default: $CLOISTER_KEY)"), JSON],
    help={"manifest": "the manifest that the owner sent you, as `manifest` writes it"},
    example="review computation.json",
)
def review(settings: Settings, manifest: str) -> None:
    """Describe in plain words what you agree to with a manifest."""
    agreed = client.load_manifest(Path(manifest))
    sections = settings.party.review(agreed)
    if settings.json:
        show.facts({"digest": agreed.digest().hex(), "sections": [section.value() for section in sections]})
        return
    for line in sections.lines():
        print(line)
