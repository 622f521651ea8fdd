"""The verb ``rule``."""

from cloister.cli.shell import show
from cloister.cli.shell.arguments import named_paths
from cloister.cli.shell.command_line import program
from cloister.cli.shell.options import JSON, KEY, POLICY
from cloister.cli.shell.settings import Settings, party_verb
from cloister.protocol import names


@party_verb(
    positional=["manifest"],
    required=["until"],
    repeated=["data"],
    options=[KEY, POLICY, JSON],
    help={
        "manifest": "a manifest that you have reviewed: the rule permits computations like it",
        "until": "the last day on which the rule permits any, in UTC, such as 2026-12-31",
        "uses": "how many computations it permits",
        "data": "where one of your datasets is, NAME=PATH (default: its file's name, beside the rule)",
        "output": "file of the rule; never overwritten",
    },
    example="rule computation.json --until 2027-01-31 --uses 30",
)
def rule(
    settings: Settings,
    manifest: str,
    until: str,
    uses: int = 1,
    data: list[str] | None = None,
    output: str = "rule.yaml",
) -> None:
    """Write a standing rule, with which `consent` agrees to computations like one that you have reviewed."""
    settings.key()
    settings.policy()
    made = settings.party.write_rule(manifest, output, until=until, uses=uses, data=named_paths("data", data or ()))
    if settings.json:
        show.facts({"rule": output, "uses": made.uses, "until": made.until().isoformat()})
        return
    count = f"{made.uses} computation{'' if made.uses == 1 else 's'}"
    print(f"Written: {output}. It permits {count} like {manifest} until {made.until()}.")
    print("It fixes everything in the manifest but its id, name and description, and what other providers upload.")
    print(f"`{program()} review {names.quoted(str(manifest))}` says what each of them means.")
    print(f"Use it: {program()} consent --rule {names.quoted(output)} --manifest MANIFEST")
