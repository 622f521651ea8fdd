"""The verb that starts a party's policy."""

import datetime
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context

from cloister.cli.shell import settings, show
from cloister.cli.shell.verb import program, verb
from cloister.errors import CloisterError, InputError

if TYPE_CHECKING:
    from cloister.attestation.policy.policy import Policy


@verb(
    required=["image"],
    help={
        "image": "manifest of the image that you trust, rebuilt by yourself or signed by someone you chose",
        "workspace": "workspace descriptor from the platform team (default: $CLOISTER_WORKSPACE)",
        "from-evidence": "take over what a machine showed, from a bundle of `attest --save`, instead of a descriptor",
        "collateral": "folder with what the evidence is judged with (default: $CLOISTER_COLLATERAL)",
        "fetch": settings.FETCH_HELP,
        "cvm": "accept only this CVM of the workspace",
        "allow-local": "accept machines that keep nothing secret from their host: for trials",
        "allow-debug": "accept an image that gives access for debugging: for trials",
        "output": "file of the policy (default: policy.json); never overwritten",
        "yes": "do not ask: you have confirmed every value",
        "json": settings.JSON_HELP,
    },
)
def policy(
    c: Context,
    image: str,
    workspace: str | None = None,
    from_evidence: str | None = None,
    collateral: str | None = None,
    fetch: bool = False,
    cvm: str | None = None,
    allow_local: bool = False,
    allow_debug: bool = False,
    output: str = "policy.json",
    yes: bool = False,
    json: bool = False,
) -> None:
    """Start your own policy: what you demand of a machine, value by value, with whom to confirm it."""
    from cloister.attestation.first_policy.placeholders import placeholders
    from cloister.client.evidence import policy as policies

    descriptor = None if from_evidence else settings.setting(c, "workspace", workspace)
    if descriptor is None and from_evidence is None:
        raise InputError("policy needs --workspace.", hint="The platform team hands out the workspace descriptor.")
    if from_evidence and (workspace or cvm or allow_local or allow_debug):
        raise InputError("--from-evidence stands instead of --workspace, --cvm, --allow-local and --allow-debug.")
    path = Path(output)
    if path.exists():
        raise InputError(
            f"{path} exists; a policy is not overwritten.", hint=f"Name another with --output. {policies.KEEP}"
        )
    if descriptor is None:
        started, taken = policies.observe(
            Path(image),
            Path(from_evidence or ""),
            collateral=settings.setting(c, "collateral", collateral),
            network=settings.network(c, fetch),
            at=datetime.datetime.now(datetime.UTC),
        )
    else:
        started, taken = policies.start(
            Path(image), descriptor, cvm=cvm, allow_local=allow_local, allow_debug=allow_debug
        )
    left = placeholders(started)
    steps = _steps(c, started, path, Path(image), workspace) if left else ()
    if not json:
        print("Your policy takes over what others say. Confirm each value:")
        for one in taken:
            print(f"\n  {one.member}: {one.value}")
            if one.fingerprint:
                print(f"    fingerprint   {one.fingerprint}")
            print(f"    confirm with  {one.confirm_with}")
        if started.allow_local:
            print("\n  allow_local: this machine keeps nothing secret from whoever runs it; use it for trials only.")
        if started.allow_debug:
            print("\n  allow_debug: whoever runs this image can look into it; use it for trials only.")
        if left:
            print("\nOnly a machine or its vendor can tell the rest. As it stands, it rejects every machine:")
        for one in left:
            print(f"\n  {one.member}: {one.value}")
            print(f"    open          {one.meaning}")
            print(f"    told by       {one.told_by}")
        print()
    if not yes and not show.confirmed(f"Have you confirmed all {len(taken)} values, and write {path}?"):
        raise CloisterError("No policy was written.", hint="Confirm the values first.")
    policies.write(started, path)
    if json:
        show.facts(
            {
                "policy": str(path),
                "digest": started.digest().hex(),
                "taken": [vars(one) for one in taken],
                "unfilled": [vars(one) for one in left],
                "next": list(steps),
            }
        )
        return
    print(f"Written: {path}")
    if left:
        print(f"It rejects every machine as long as the {len(left)} members above are open. Next: `attest` is refused")
        print("(exit code 3) and saves what the machine shows; the policy that you will use is made of that.\n")
        for step in steps:
            print(f"  {step}")
        if len(started.boot_configuration.cvms) > 1:
            print(f"\nOnce for each machine: {', '.join(started.boot_configuration.cvms)}.")


def _steps(c: Context, started: "Policy", path: Path, image: Path, workspace: str | None) -> tuple[str, ...]:
    """What to type after a policy that leaves members open: for its first CVM, with files beside the policy."""
    cvm = started.boot_configuration.cvms[0]
    evidence, filled = path.with_name(f"{cvm}-evidence.json"), path.with_name(f"{cvm}-policy.json")
    vendors = () if settings.network(c, given=False) else ("--fetch",)
    if started.gcp is not None and settings.setting(c, "collateral", None) is None:
        vendors = ("--collateral", "collateral", *vendors)  # for the root that no service of Google's is asked for
    descriptor = ("--workspace", workspace) if workspace else ()
    words = (
        ("attest", "--cvm", cvm, *descriptor, "--policy", path, "--save", evidence, *vendors),
        ("policy", "--from-evidence", evidence, "--image", image, "--output", filled, *vendors),
    )
    return tuple(shlex.join([program(), *(str(word) for word in one)]) for one in words)
