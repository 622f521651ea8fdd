"""The verb ``result``."""

from cloister import client
from cloister.cli.shell import show
from cloister.cli.shell.command_line import program
from cloister.cli.shell.options import JSON, MANIFEST, PARTY
from cloister.cli.shell.settings import Settings, party_verb
from cloister.protocol import names


@party_verb(
    interrupted="Run the same command again: it resumes.",
    options=[*PARTY, MANIFEST, JSON],
    help={
        "output": "file of the result (default: results.zip)",
        "unpack": "also write the result's files into this folder",
        "wait": "wait until the result is ready, and show the timeline",
    },
    example="result --manifest computation.json --output results.zip --unpack results --wait",
)
def result(settings: Settings, output: str = "results.zip", unpack: str | None = None, wait: bool = False) -> None:
    """Fetch the result and verify where it comes from. The machine releases it once."""
    from cloister.cli.shell.reports import ResultPrinter

    manifest = settings.manifest()
    with settings.connect(manifest) as machine:
        fetched = machine.fetch(
            output,
            unpack=unpack or None,
            wait=wait,
            keep=[path] if (path := settings.path("manifest")) else (),
            report=ResultPrinter(settings.names(manifest) if wait else {}, json=settings.json),
        )
    if settings.json:
        files = [str(file) for file in fetched.files]
        show.facts({"output": str(fetched.output), "files": files, "proof": fetched.proof.value()})
        return
    for claim in fetched.proof.claims:
        print(claim.line())
    if fetched.proof.preview:
        verbs = f"`{program()} approve --result {names.quoted(str(fetched.output))}` or `{program()} reject`"
        print(f"  Preview: the result was released to you before the others. {verbs} decides on it.")
    if today := client.rejection_today(fetched.proof):
        print(f"  Today your policy would reject the machine: {today}")
    for note in fetched.proof.notes:
        print(f"  Note: {note}")
    print(f"Result: {fetched.output}")
    for file in fetched.files:
        print(f"  {names.shown(str(file))}")
