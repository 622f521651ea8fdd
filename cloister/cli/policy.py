"""The verb ``policy``."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from cloister import client
from cloister.cli.shell import show
from cloister.cli.shell.command_line import program
from cloister.cli.shell.options import COLLATERAL, CVM, FETCH, JSON, WORKSPACE
from cloister.cli.shell.settings import Settings, party_verb
from cloister.errors import CloisterError, InputError

if TYPE_CHECKING:
    from cloister.client.evidence.first_policy import FirstPolicy


@party_verb(
    required=["image"],
    options=[
        WORKSPACE.described("workspace descriptor from the platform team (default: $CLOISTER_WORKSPACE)"),
        CVM.described("accept only this CVM of the workspace (default: all)"),
        COLLATERAL,
        FETCH,
        JSON,
    ],
    help={
        "image": "manifest of the image that you trust: rebuilt by you, or signed by a party that you chose",
        "from-evidence": "start from what a machine showed, a file of `attest --save`, instead of a descriptor",
        "allow-local": "accept local machines, which keep nothing secret from their host: for trials",
        "allow-debug": "accept a debug image, which has a shell: for trials",
        "output": "file of the policy (default: policy.json); never overwritten",
        "yes": "do not ask: you have confirmed every value",
    },
)
def policy(
    settings: Settings,
    image: str,
    from_evidence: str | None = None,
    allow_local: bool = False,
    allow_debug: bool = False,
    output: str = "policy.json",
    yes: bool = False,
) -> None:
    """Start your own policy: what you demand of a machine, value by value, and who can confirm each."""
    descriptor = None if from_evidence else settings.path("workspace")
    if descriptor is None and from_evidence is None:
        raise InputError("policy needs --workspace.", hint="Ask the platform team for the workspace descriptor.")
    if from_evidence and (settings.typed("workspace") or settings.typed("cvm") or allow_local or allow_debug):
        raise InputError(
            "--from-evidence cannot be combined with --workspace, --cvm, --allow-local or --allow-debug.",
            hint="Omit one or the other.",
        )
    path = Path(output)
    if path.exists():
        raise client.policy_exists(path)
    if descriptor is None:
        started = client.policy_from_evidence(Path(image), Path(from_evidence or ""), collateral=settings.collateral())
    else:
        started = client.start_policy(
            Path(image), descriptor, cvm=settings.typed("cvm"), allow_local=allow_local, allow_debug=allow_debug
        )
    steps = _next_steps(settings, started, path, image) if started.open else ()
    if not settings.json:
        _print_values(started)
    if not yes and not show.confirmed(f"Have you confirmed all {len(started.taken_over)} values? Write {path}?"):
        raise CloisterError("No policy was written.", hint="Confirm the values, then run the command again.")
    client.save_policy(started.policy, path)
    if settings.json:
        show.facts(
            {
                "policy": str(path),
                "digest": started.policy.digest().hex(),
                "taken": [vars(one) for one in started.taken_over],
                "unfilled": [vars(one) for one in started.open],
                "next": list(steps),
            }
        )
        return
    print(f"Written: {path}")
    if started.open:
        print(f"It rejects every machine until the {len(started.open)} members above are filled in. Do this next:")
        print("`attest` rejects the machine (exit code 3) but saves its evidence; the second command makes your policy")
        print("from that evidence.\n")
        for step in steps:
            print(f"  {step}")
        cvms = started.policy.boot_configuration.cvms
        if len(cvms) > 1:
            print(f"\nRepeat this for each machine: {', '.join(cvms)}.")


def _print_values(started: "FirstPolicy") -> None:
    print("Your policy takes these values from others. Confirm each:")
    for one in started.taken_over:
        print(f"\n  {one.member}: {one.value}")
        if one.fingerprint:
            print(f"    fingerprint   {one.fingerprint}")
        print(f"    confirm with  {one.confirm_with}")
    if started.policy.allow_local:
        print("\n  allow_local: this machine keeps nothing secret from its host. Use it for trials only.")
    if started.policy.allow_debug:
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
    print()


def _next_steps(settings: Settings, started: "FirstPolicy", path: Path, image: str) -> tuple[str, ...]:
    """The commands that follow a policy with open members: for its first CVM, with files beside the policy."""
    cvm = started.policy.boot_configuration.cvms[0]
    evidence, filled = path.with_name(f"{cvm}-evidence.json"), path.with_name(f"{cvm}-policy.json")
    vendors = () if settings.fetches_by_default() else ("--fetch",)
    if started.policy.gcp is not None and settings.configured("collateral") is None:
        vendors = ("--collateral", "collateral", *vendors)  # for Google's root, which no service returns
    workspace = settings.typed("workspace")
    descriptor = ("--workspace", workspace) if workspace else ()
    commands = (
        ("attest", "--cvm", cvm, *descriptor, "--policy", path, "--save", evidence, *vendors),
        ("policy", "--from-evidence", evidence, "--image", Path(image), "--output", filled, *vendors),
    )
    return tuple(shlex.join([program(), *(str(word) for word in words)]) for words in commands)
