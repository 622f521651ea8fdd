"""How the verbs that appraise evidence print a verdict: for people, as JSON, or as an attestation result."""

from enum import StrEnum
from typing import TYPE_CHECKING

from cloister import client
from cloister.cli.shell import show
from cloister.cli.shell.settings import Settings
from cloister.errors import InputError

if TYPE_CHECKING:
    from cloister.client.connection.machine_verdict import MachineVerdict
    from cloister.client.evidence.examination import Examination

FORMAT_HELP = "text, json, or ear: an EAT Attestation Result as a JWT, signed with --key (default: text)"


class Format(StrEnum):
    """The forms of a verdict."""

    TEXT = "text"
    JSON = "json"
    EAR = "ear"


def chosen_format(settings: Settings, typed: str | None) -> Format:
    """The form that the options name. Raises InputError, also when an EAR has no key, before anything is asked."""
    if typed is None:
        return Format.JSON if settings.json else Format.TEXT
    if typed not in list(Format):
        raise InputError(f"--format is {typed!r}; it must be one of {', '.join(Format)}.")
    if settings.json and typed != Format.JSON:
        raise InputError(f"--json and --format {typed} exclude each other.", hint="Omit one of them.")
    if typed == Format.EAR:
        settings.key()
    return Format(typed)


def print_verdict(settings: Settings, found: "MachineVerdict | Examination", form: Format) -> None:
    """Print the verdict on standard output."""
    if form is Format.EAR:
        print(found.ear(settings.key()))
    elif form is Format.JSON:
        show.facts(found.verdict.value())
    else:
        for line in client.verdict_lines(found.verdict):
            print(line)
