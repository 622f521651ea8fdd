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
)
def review(settings: Settings, manifest: str) -> None:
    """Describe in plain words what you agree to with a manifest."""
    agreed = client.load_manifest(Path(manifest))
    reader = settings.key().public if settings.path("key") else None
    sections = client.review_manifest(agreed, reader)
    if settings.json:
        show.facts({"digest": agreed.digest().hex(), "sections": [section.value() for section in sections]})
        return
    for section in sections:
        print(section.title)
        for line in section.lines:
            print(f"  {'! ' if section.warning else ''}{line}")
        print()
