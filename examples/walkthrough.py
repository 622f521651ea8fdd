"""A whole example on one machine: each party's steps, with its own key, in its own folder.

The commands shown after ``lab$`` are those that run in that folder below out/; a reader can type them there, with
``.venv/bin`` on the PATH. The folders share only the files that the parties give to each other.
"""

import base64
import contextlib
import fcntl
import shutil
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

from cloister.client.computation.status import fetch_status
from cloister.client.connection import connection
from cloister.client.connection.opening import Target, attest
from cloister.client.evidence.first_policy import start_policy
from cloister.client.evidence.policy_file import load_policy
from cloister.client.files.descriptor_file import find_cvm, load_descriptor
from cloister.client.files.keys import load_key
from cloister.endpoint import Address
from cloister.errors import CloisterError, InputError
from cloister.keyfile.public import read_public_key
from cloister.protocol.events import State
from cloister.protocol.progress import FINAL_STATES
from examples.actor import CHECKOUT, Actor, headline, relative
from examples.cast import Cast, forget_results
from examples.catalogue import Example
from examples.trial_run import try_example

_WHERE = "--workspace workspace.json --policy policy.json"
_COUNTS = {3: "Three", 4: "Four"}
_BUILDS = {
    "base": "10 s; the first time a minute and a download of 100 MB",
    "pytorch": "a minute; the first time some minutes and a download of 300 MB",
}


def run(example: Example, output: Path, options: Mapping[str, str], *, native: bool = False) -> None:
    """Run an example in ``output``: in a CVM, or with ``native`` as a trial in the image's files on this machine.

    Keys, policies and workspace of an earlier run are reused if they still fit. Raises InputError for an option that
    the example lacks and while another example runs, and CloisterError when a command fails.
    """
    words = example.words(options)
    with alone():
        _run(example, output, words, options, native=native)


@contextlib.contextmanager
def alone() -> Generator[None, None, None]:
    """Lock the examples of this checkout: another one would change the same folders and workspaces.

    The kernel releases the lock when the process ends. Raises InputError.
    """
    from infra import paths

    with (paths.private_folder(paths.state()) / "demo.lock").open("w") as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                "Another demo runs in this checkout.", hint="Wait until it ends, or stop it with Ctrl-C."
            ) from error
        yield


def _run(example: Example, output: Path, words: str, options: Mapping[str, str], *, native: bool) -> None:
    began = time.monotonic()
    platform = Actor("platform", CHECKOUT)
    headline(example.data, *filter(None, [example.note(options)]))
    platform.run(f"python examples/{example.name}/prepare.py {relative(output)}{words}", quiet=True)
    cast = Cast.of(example, output)
    headline(f"The platform team builds the guest image ({_BUILDS[example.flavor]})")
    platform.run(f"invoke image.build{_option('--flavor', example)} --relock")
    if native:
        try_example(cast)
        return
    headline(f"{_COUNTS[len(cast.parties)]} parties, each with its own key and files")
    _keys(cast.parties)
    _give_all(CHECKOUT / "out" / "image" / example.flavor / "manifest.json", "image.json", cast.parties)
    _end_unfinished(cast.owner)
    headline("The platform team starts the CVM: firmware, measured boot, agent (half a minute without KVM)")
    descriptor = _workspace(platform, cast)
    up = time.monotonic()

    headline(
        "Each party writes its own policy: this image, this workspace, this owner",
        "In production each party rebuilds the image first (invoke image.verify) and confirms every value by phone.",
    )
    _give_all(descriptor, "workspace.json", cast.parties)
    for party in cast.parties:
        party.forget()
        _policy(party, quiet=party != cast.owner)
    _fresh_machine(cast.owner)
    _submit(cast)
    _upload(cast)
    _fetch(cast)
    proven = time.monotonic()
    cast.show_result(cast.consumers[0])
    _farewell(cast, time.monotonic() - began, proven - up)


def _submit(cast: Cast) -> None:
    owner, author = cast.owner, cast.author
    headline(f"The {owner.name} attests the CVM: every measured value is compared with its policy")
    owner.run(f"cloister attest {_WHERE}")

    if cast.bundle:
        headline(f"The {author.name} bundles its packages for the guest")
        cast.make_bundle(author)
    headline(f"The {owner.name} writes the manifest, with what each party sends it, and submits it")
    for party in cast.parties:
        for provider, _, file in cast.data:
            if provider == party:
                party.run(f"cloister checksum {file}")
        if party == owner:
            (party.folder / "keys").mkdir(exist_ok=True)
            shutil.copyfile(party.folder / f"{party.name}.pub", party.folder / "keys" / f"{party.name}.pub")
        else:
            party.give(f"{party.name}.pub", owner, to="keys")
    (owner.folder / "manifest.json").unlink(missing_ok=True)
    owner.run("cloister manifest manifest.yaml --output manifest.json")
    owner.run(f"cloister run --manifest manifest.json --key {owner.key} {_WHERE} --detach")
    owner.give("manifest.json", *(party for party in cast.parties if party != owner))


def _upload(cast: Cast) -> None:
    first = cast.data[0][0]
    headline(f"{first.name} reviews the manifest; each dataset provider attests the CVM itself, then uploads")
    first.run(f"cloister review manifest.json --key {first.key}")
    for provider, _, file in cast.data:
        provider.run(f"cloister upload-data {file} --key {provider.key} --manifest manifest.json {_WHERE}")
    author = cast.author
    headline(f"The {author.name} uploads the algorithm; the run starts after the last asset ({cast.example.wait})")
    bundle = f" --bundle {cast.bundle}" if cast.bundle else ""
    author.run(
        f"cloister upload-algorithm {cast.algorithm}{bundle} --key {author.key} --manifest manifest.json {_WHERE}"
    )


def _fetch(cast: Cast) -> None:
    for consumer in cast.consumers:
        forget_results(consumer)
        fetch = "--output results.zip --unpack results --wait"
        consumer.run(f"cloister result --key {consumer.key} --manifest manifest.json {_WHERE} {fetch}")
    headline("Where does this model come from? The proof needs neither the CVM nor a network")
    cast.consumers[0].run("cloister verify-result results.zip --policy policy.json")
    first = cast.data[0][0]
    headline(f"{first.name} reads the timeline and saves it")
    first.run(f"cloister events --key {first.key} --manifest manifest.json {_WHERE} --save events.jsonl")
    first.run("cloister audit events.jsonl --policy policy.json")


def _keys(parties: Sequence[Actor]) -> None:
    for party in parties:
        if (party.folder / party.key).exists():
            print(f"{party.name} has its key from an earlier demo: {load_key(party.folder / party.key).id}")
        else:
            party.folder.mkdir(parents=True, exist_ok=True)
            party.run(f"cloister keys --output {party.key}")


def _workspace(platform: Actor, cast: Cast) -> Path:
    """Bring up the workspace with these members. Returns the path of its descriptor."""
    from infra.live import members, workspaces

    stack = cast.example.name
    if stack not in workspaces.PROJECT.names():
        platform.run(f"invoke workspace.new {stack}{_option('--image', cast.example)}")
    held = {entry.get("name"): (entry.get("key"), entry.get("roles")) for entry in members.entries(stack)}
    for party in cast.parties:
        public = party.folder / f"{party.name}.pub"
        roles = cast.roles(party)
        if held.get(party.name) != (_inline(public), roles):
            words = f"--key {relative(public)} --roles {','.join(roles)} --stack {stack}"
            platform.run(f"invoke member.add {party.name} {words}")
    platform.run(f"invoke workspace.up --stack {stack} --yes")
    descriptor = cast.output / "platform" / "workspace.json"
    platform.run(f"invoke workspace.export --stack {stack} --output {relative(descriptor)}")
    return descriptor


def _inline(public: Path) -> str:
    """A public key as in a workspace's configuration."""
    return base64.b64encode(read_public_key(public).spki).decode()


def _give_all(file: Path, name: str, parties: Sequence[Actor]) -> None:
    """Copy a file of the platform team to all parties."""
    for party in parties:
        shutil.copyfile(file, party.folder / name)
    print(f"  platform gives {name} to {', '.join(party.name for party in parties)}")


def _policy(party: Actor, *, quiet: bool) -> None:
    """Write a policy for this image and workspace, unless the one of an earlier demo is the same."""
    path = party.folder / "policy.json"
    if path.exists():
        wanted = start_policy(party.folder / "image.json", party.folder / "workspace.json", allow_local=True)
        if load_policy(path) == wanted.policy:
            print(f"{party.name} has its policy from an earlier demo: {party.folder.name}/policy.json")
            return
        path.unlink()
    command = "cloister policy --image image.json --workspace workspace.json --allow-local --output policy.json --yes"
    party.run(command, quiet=quiet)


def _end_unfinished(owner: Actor) -> None:
    """Stop the run that an interrupted demo left: a CVM with an unfinished run is not replaced."""
    files = [owner.folder / name for name in (owner.key, "policy.json", "workspace.json")]
    if not all(file.exists() for file in files):
        return
    key, policy, descriptor = files
    cvm = find_cvm(load_descriptor(descriptor), None)
    target = Target(Address.parse(cvm.endpoint), load_policy(policy), cvm.name)
    try:
        with connection.Connection(target, load_key(key)) as connected:
            state = fetch_status(connected).state
    except CloisterError:
        return  # gone, or another CVM by now: bringing up the workspace shows it
    if state is not State.IDLE and state not in FINAL_STATES:
        headline("An earlier demo was interrupted: the owner stops its run")
        owner.run(f"cloister stop --key {owner.key} {_WHERE}")


def _fresh_machine(owner: Actor) -> None:
    """Reset a CVM that already has the manifest of an earlier demo."""
    cvm = find_cvm(load_descriptor(owner.folder / "workspace.json"), None)
    policy = load_policy(owner.folder / "policy.json")
    target = Target(Address.parse(cvm.endpoint), policy, cvm.name)
    with attest(target) as opening:
        used = opening.binding.manifest_digest is not None
    if used:
        headline("The CVM already has a manifest: its owner resets it (half a minute without KVM)")
        owner.run(f"cloister reset --key {owner.key} {_WHERE}")


def _option(name: str, example: Example) -> str:
    """An option that names the example's image, where that is not the default."""
    return "" if example.flavor == "base" else f" {name} {example.flavor}"


def _farewell(cast: Cast, seconds: float, computed: float) -> None:
    consumer = cast.consumers[0]
    place, stack, flavor = relative(consumer.folder), cast.example.name, _option("--flavor", cast.example)
    pictures = ", ".join(sorted(path.name for path in (consumer.folder / "results").glob("*.png")))
    print(f"""
=== Done in {seconds:.0f} s. From the started CVM to the proven result: {computed:.0f} s. The workspace is still up.

Result     {place}/results.zip, unpacked in {place}/results/{f"; pictures: {pictures}" if pictures else ""}
Timeline   {relative(cast.data[0][0].folder / "events.jsonl")}
Folders    {", ".join(relative(party.folder) for party in cast.parties)}

Next, from the checkout, after  . .cloister/env
  (cd {place} && cloister status --key {consumer.key} {_WHERE})
  (cd {place} && cloister verify-result results.zip --policy policy.json)
  invoke image.verify{flavor}    # rebuild the image and compare
  invoke workspace.down --stack {stack}    # stop the CVM; verify-result still works
A second fetch is refused: the key of a result is released once:
  (cd {place} && cloister result --key {consumer.key} --manifest manifest.json {_WHERE} --output again.zip)
""")
