"""The verb ``run``."""

from cloister.cli.shell import show
from cloister.cli.shell.command_line import program
from cloister.cli.shell.event_printer import event_printer
from cloister.cli.shell.options import JSON, MANIFEST, PARTY
from cloister.cli.shell.settings import Settings, party_verb
from cloister.protocol import names


@party_verb(
    interrupted="The machine continues: `status` shows its state, and `events --follow` what happens.",
    options=[*PARTY, MANIFEST, JSON],
    help={
        "detach": "do not wait for the end",
        "hold": "let the run wait for `start` after the last asset, instead of starting it at once",
    },
    example="run --manifest computation.json --detach",
)
def run(settings: Settings, detach: bool = False, hold: bool = False) -> None:
    """Submit the manifest, then show the timeline until the computation ends."""
    manifest = settings.manifest()
    with settings.connect(manifest) as machine:
        machine.submit(hold=hold)
        if settings.json and detach:
            show.facts({"manifest": manifest.digest().hex(), "address": str(machine.address)})
        elif not settings.json:
            print(f"Accepted: manifest {manifest.digest().hex()}, measured by the machine at {machine.address}.")
            for asset in manifest.assets():
                print(f"  {asset.provider} uploads {asset.name} ({names.shown(asset.file)})")
            if machine.status().answer.hold:  # another owner may have asked for it
                print(f"After the last upload the run waits for `{program()} start`, for at most 24 hours.")
        if detach:
            return
        now = machine.status().progress
        with event_printer(settings.names(manifest), now, json=settings.json) as print_event:
            for record in machine.events(follow=True).signed():
                print_event(record)
