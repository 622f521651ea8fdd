"""The verb ``withdraw``."""

from cloister import client
from cloister.cli.shell.options import MANIFEST, PARTY
from cloister.cli.shell.settings import Settings, party_verb


@party_verb(options=[*PARTY, MANIFEST])
def withdraw(settings: Settings) -> None:
    """Take your consent back: the computation ends, and everything of all parties is wiped."""
    manifest = settings.manifest()
    with settings.connection(manifest) as connection:
        assets = client.withdraw_consent(connection, manifest)
        print(f"Withdrawn: your consent to the use of {', '.join(assets)}.")
        print(f"The computation has ended, and everything of all parties at {connection.target.address} is wiped.")
