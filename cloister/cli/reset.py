"""The verb ``reset``."""

from cloister.cli.shell import show
from cloister.cli.shell.options import JSON, PARTY, YES
from cloister.cli.shell.settings import Settings, party_verb


@party_verb(
    interrupted="If the machine accepted the reset, it reboots anyway; `attest` shows when it is back.",
    options=[*PARTY, YES, JSON],
    help={"detach": "do not wait until the machine is back"},
    example="reset",
)
def reset(settings: Settings, detach: bool = False) -> None:
    """Wipe the machine and reboot it: new keys, no manifest, nothing left."""
    with settings.connect() as machine:
        if not settings.agreed(f"Reset the machine at {machine.address}, and wipe everything on it?"):
            return

        def accepted() -> None:
            if detach and settings.json:
                return
            if detach:
                print(f"Resetting: the machine at {machine.address}.")
            else:
                show.note(
                    "The machine is rebooting; without hardware virtualisation this takes about half a minute ..."
                )

        machine.reset(wait=not detach, accepted=accepted)
        if settings.json:
            show.facts({"done": "reset", "address": str(machine.address)})
        elif not detach:
            print(f"Ready: the machine at {machine.address}, accepted by your policy, without a manifest.")
