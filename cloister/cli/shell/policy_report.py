"""Shows a first policy: its values and who can confirm each, then the file and the commands that follow."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cloister.cli.shell import show
from cloister.cli.shell.command_line import program
from cloister.cli.shell.settings import Settings

if TYPE_CHECKING:
    from cloister.client.evidence.first_policy import FirstPolicy
    from cloister.client.evidence.statement_demands import StatementDemands


@dataclass(frozen=True)
class PolicyReport:
    """How one call of `policy` shows what it starts.

    ``image`` and ``signed`` are as they were typed, ``demands`` is what the options about builders and a publisher say.
    """

    settings: Settings
    path: Path
    image: str
    signed: str
    demands: "StatementDemands | None" = None

    def values(self, started: "FirstPolicy") -> None:
        """Print every value that rests on someone else's word, and the open members; nothing with --json."""
        if not self.settings.json:
            _print_values(started)

    def written(self, started: "FirstPolicy") -> None:
        """Print the file, and the commands that fill in what is open."""
        steps = self.next_steps(started)
        if self.settings.json:
            show.facts(
                {
                    "policy": str(self.path),
                    "digest": started.policy.digest().hex(),
                    "taken": [vars(one) for one in started.taken_over],
                    "unfilled": [vars(one) for one in started.open],
                    "rejected": list(started.rejected),
                    "next": list(steps),
                }
            )
            return
        print(f"Written: {self.path}")
        if started.session_policy is None:
            command = shlex.join([program(), "verify-evidence", "--policy", str(self.path)])
            print(f"It is for reports and quotes by themselves, and accepts no machine: {command} FILE...")
        if self.demands is not None and self.settings.configured("collateral") is None:
            print("It rejects a machine without those statements. Put them into a folder, and pass --collateral DIR")
            print("with each later command.")
        if steps and started.session_policy is not None:
            _print_steps(started, steps, started.session_policy.boot_configuration.cvms)

    def next_steps(self, started: "FirstPolicy") -> tuple[str, ...]:
        """Return the commands for a policy with open members: for its first CVM, with files beside the policy.

        Raises InputError when the environment does not say whether to ask the vendors.
        """
        policy = started.session_policy
        if not started.open or policy is None:
            return ()
        settings, cvm = self.settings, policy.boot_configuration.cvms[0]
        evidence, filled = self.path.with_name(f"{cvm}-evidence.json"), self.path.with_name(f"{cvm}-policy.json")
        vendors = () if settings.fetches_by_default() else ("--fetch",)
        if policy.gcp is not None and settings.configured("collateral") is None:
            vendors = ("--collateral", "collateral", *vendors)  # for Google's root, which no service returns
        workspace = settings.typed("workspace")
        descriptor = ("--workspace", workspace) if workspace else ()
        signed = ("--signed", Path(self.signed)) if self.signed else ()
        attested = ("attest", "--cvm", cvm, *descriptor, "--policy", self.path, "--save", evidence, *vendors)
        again = ("policy", "--from-evidence", evidence, "--image", Path(self.image), *signed, *_words(self.demands))
        commands = (attested, (*again, "--output", filled, *vendors))
        return tuple(shlex.join([program(), *(str(word) for word in words)]) for words in commands)


def _words(demands: "StatementDemands | None") -> tuple[str, ...]:
    """The options again, for the next command."""
    if demands is None:
        return ()
    words = [word for name, file in demands.builders.items() for word in ("--builder", f"{name}={file}")]
    if demands.required is not None:
        words += ["--builders-required", str(demands.required)]
    if demands.publisher is not None:
        words += ["--publisher", "{}={}".format(*demands.publisher)]
    if demands.maximum_age_days is not None:
        words += ["--maximum-age", str(demands.maximum_age_days)]
    return tuple(words)


def _print_values(started: "FirstPolicy") -> None:
    print("Your policy takes these values from others. Confirm each:")
    for one in started.taken_over:
        print(f"\n  {one.member}: {one.value}")
        if one.fingerprint:
            print(f"    fingerprint   {one.fingerprint}")
        print(f"    confirm with  {one.confirm_with}")
    policy = started.session_policy
    if policy is not None and policy.allow_local:
        print("\n  allow_local: this machine keeps nothing secret from its host. Use it for trials only.")
    if policy is not None and policy.allow_debug:
        print("\n  allow_debug: the host can log in to this image. Use it for trials only.")
    if started.open:
        print(
            "\nOnly a machine or its vendor knows the other values. Until they are filled in, the policy rejects every"
        )
        print("machine:")
    for one in started.open:
        print(f"\n  {one.member}: {one.value}")
        print(f"    meaning       {one.meaning}")
        print(f"    known by      {one.provided_by}")
    if started.rejected:
        print("\nThe policy keeps its strict values, and rejects this evidence until each of these is settled:")
    for sentence in started.rejected:
        print(f"\n  {sentence}")
    print()


def _print_steps(started: "FirstPolicy", steps: tuple[str, ...], cvms: Sequence[str]) -> None:
    print(f"It rejects every machine until the {len(started.open)} members above are filled in. Do this next:")
    print("`attest` rejects the machine (exit code 3) but saves its evidence; the second command makes your policy")
    print("from that evidence.\n")
    for step in steps:
        print(f"  {step}")
    if len(cvms) > 1:
        print(f"\nRepeat this for each machine: {', '.join(cvms)}.")
