"""The verb ``import``."""

from pathlib import Path

from cloister import client
from cloister.cli.shell import show
from cloister.cli.shell.command_line import program
from cloister.cli.shell.options import IMAGE, JSON, KEY, POLICY, WORKSPACE
from cloister.cli.shell.settings import Settings, party_verb
from cloister.protocol import names, text


@party_verb(
    name="import",
    positional=["file"],
    options=[
        KEY.described("your private key, to see which party you are (default: $CLOISTER_KEY)"),
        POLICY.described("your policy for the new workspace, if you have one (default: $CLOISTER_POLICY)"),
        WORKSPACE.described("descriptor of the new workspace (default: $CLOISTER_WORKSPACE)"),
        IMAGE.described("manifest of the new workspace's image (image.json), to compare its packages"),
        JSON,
    ],
    help={"file": "an exported computation", "output": "folder to make (default: the file's name without .cloister)"},
    example="import covid19.cloister --output there --workspace workspace.json",
)
def import_(settings: Settings, file: str, output: str = "") -> None:
    """Unpack an exported computation for another workspace, and say what is missing there before it can run."""
    path = Path(file)
    descriptor = settings.path("workspace")
    done = client.import_computation(
        path,
        Path(output) if output else path.with_suffix(""),
        workspace=client.load_descriptor(descriptor) if descriptor else None,
        policy=settings.policy() if settings.path("policy") else None,
        image=settings.image(),
        key=settings.key().public if settings.path("key") else None,
    )
    if settings.json:
        show.facts(
            {
                "version": 1,
                "source": str(done.source),
                "manifest": done.manifest.digest().hex(),
                "files": [str(one) for one in done.files],
                "missing": [one.value() for one in done.missing],
            }
        )
        return
    for one in done.files:
        print(f"Written: {names.shown(str(one))}")
    for part in done.missing:
        print(f"  missing  {part.kind:<9}  {text.printable(part.text)}")
    source = str(done.source)
    print(f"When {names.shown(source)} is as you want it: {program()} manifest {names.quoted(source)}")
