"""A whole computation on one machine: each party's steps, with its own key, in its own folder.

The commands shown after ``lab$`` are those that run in that folder below out/demo/; a reader can type them there, with
``.venv/bin`` on the PATH. The folders share only the files that the parties give to each other.
"""

import base64
import contextlib
import fcntl
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass
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
from image.inputs.lockfile import RELOCKED

CHECKOUT = Path(__file__).resolve().parents[2]
STACK = "tumour"
HOSPITALS = ("hospital-1", "hospital-2", "hospital-3")
PARTIES = ("lab", *HOSPITALS)
ROLES = {"lab": "owner,algorithm-provider,result-consumer", **dict.fromkeys(HOSPITALS, "dataset-provider")}
_KEPT = ("CLOISTER_DEBIAN_MIRROR", "CLOISTER_DEBIAN_SNAPSHOT", "CLOISTER_LOCKS")
_WHERE = "--workspace workspace.json --policy policy.json"


@dataclass(frozen=True)
class Actor:
    """A party or the platform team, which runs commands in its own folder."""

    name: str
    folder: Path

    def run(self, command: str, *, quiet: bool = False) -> None:
        """Show a command and run it on the same terminal. Raises CloisterError when it fails."""
        print(f"{self.name}$ {command}", flush=True)
        words = shlex.split(command)
        output = subprocess.DEVNULL if quiet else None
        with subprocess.Popen(words, cwd=self.folder, env=_environment(), stdout=output) as process:
            try:
                status = process.wait()
            except KeyboardInterrupt:
                # Ctrl-C reached the command, too: let it clean up and print its last lines.
                process.wait()
                raise
        if status:
            raise CloisterError(
                f"{words[0]} {words[1]} ended with status {status}; the demo stops here.",
                hint="See its output above. The workspace is unchanged: run `demo` again to continue with it.",
                exit_code=status,
            )

    def give(self, file: str, *receivers: "Actor", to: str = ".") -> None:
        """Copy a file to others, as they would by mail."""
        for receiver in receivers:
            target = receiver.folder / to
            target.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.folder / file, target / Path(file).name)
        names = ", ".join(receiver.name for receiver in receivers)
        print(f"  {self.name} gives {file} to {names}")


def run(output: Path) -> None:
    """Run the demo in ``output``. Keys, policies and workspace of an earlier run are reused if they still fit.

    Raises InputError while another demo runs, and CloisterError when a command fails.
    """
    with alone():
        _run(output)


@contextlib.contextmanager
def alone() -> Generator[None, None, None]:
    """Lock the demo of this checkout: another one would change the same folders and workspace.

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


def _run(output: Path) -> None:
    began = time.monotonic()
    platform = Actor("platform", CHECKOUT)
    lab, *hospitals = parties = [Actor(name, output / name) for name in PARTIES]
    for party in parties:
        party.folder.mkdir(parents=True, exist_ok=True)

    _headline("Four parties, each with its own key and files")
    _keys(parties)
    _headline(
        "The cases: 568 of the Breast Cancer Wisconsin table, divided among three hospitals (downloads 12 MB, once)"
    )
    platform.run(f"python examples/tumour/prepare.py {shlex.quote(_relative(output))}", quiet=True)

    _headline("The platform team builds the guest image (10 s; the first time a minute and a download of 100 MB)")
    platform.run("invoke image.build --relock")
    _give_all(CHECKOUT / "out" / "image" / "base" / "manifest.json", "image.json", parties)
    _end_unfinished(lab)
    _headline("The platform team starts the CVM: firmware, measured boot, agent (half a minute without KVM)")
    descriptor = _workspace(platform, lab.folder.parent, parties)

    _headline(
        "Each party writes its own policy: this image, this workspace, this owner",
        "In production each party rebuilds the image first (invoke image.verify) and confirms every value by phone.",
    )
    _give_all(descriptor, "workspace.json", parties)
    for party in parties:
        _policy(party)

    _fresh_machine(lab)
    _headline("The lab attests the CVM: every measured value is compared with the lab's policy")
    lab.run(f"cloister attest {_WHERE}")

    _headline("The lab bundles numpy for the guest, writes the manifest, and submits it")
    lab.run("cloister bundle requirements.txt --output numpy.bundle")
    for hospital, number in zip(hospitals, (1, 2, 3), strict=True):
        hospital.run(f"cloister checksum h{number}.csv")
        hospital.give(f"{hospital.name}.pub", lab, to="keys")
    shutil.copyfile(lab.folder / "lab.pub", lab.folder / "keys" / "lab.pub")
    (lab.folder / "manifest.json").unlink(missing_ok=True)
    lab.run("cloister manifest manifest.yaml --output manifest.json")
    lab.run(f"cloister run --manifest manifest.json --key lab.pem {_WHERE} --detach")
    lab.give("manifest.json", *hospitals)

    _headline("A hospital reviews the manifest; each hospital attests the CVM itself, then uploads")
    hospitals[0].run("cloister review manifest.json --key hospital-1.pem")
    for hospital, number in zip(hospitals, (1, 2, 3), strict=True):
        key = f"--key {hospital.name}.pem"
        hospital.run(f"cloister upload-data h{number}.csv {key} --manifest manifest.json {_WHERE}")

    _headline("The lab uploads the algorithm; the run starts after the last asset (half a minute without KVM)")
    lab.run(f"cloister upload-algorithm train.py --bundle numpy.bundle --key lab.pem --manifest manifest.json {_WHERE}")
    for old in (lab.folder / "results.zip", lab.folder / "results.zip.key", lab.folder / "results.zip.part"):
        old.unlink(missing_ok=True)
    shutil.rmtree(lab.folder / "results", ignore_errors=True)
    fetch = "--output results.zip --unpack results --wait"
    lab.run(f"cloister result --key lab.pem --manifest manifest.json {_WHERE} {fetch}")

    _headline("Where does this model come from? The proof needs neither the CVM nor a network")
    lab.run("cloister verify-result results.zip --policy policy.json")
    _headline("A hospital reads the timeline and saves it")
    hospitals[0].run(f"cloister events --key hospital-1.pem --manifest manifest.json {_WHERE} --save events.jsonl")
    hospitals[0].run("cloister audit events.jsonl --policy policy.json")

    _headline("The joint model on held-out cases, compared with each hospital alone")
    lab.run("cat results/report.txt")
    _headline("A new patient")
    lab.run("python predict.py results/model.json case.json")
    _farewell(output, time.monotonic() - began)


def _keys(parties: list[Actor]) -> None:
    for party in parties:
        if (party.folder / f"{party.name}.pem").exists():
            print(f"{party.name} has its key from an earlier demo: {load_key(party.folder / f'{party.name}.pem').id}")
        else:
            party.run(f"cloister keys --output {party.name}.pem")


def _workspace(platform: Actor, demo: Path, parties: list[Actor]) -> Path:
    """Bring up the workspace with these members. Returns the path of its descriptor."""
    from infra.live import members, workspaces

    if STACK not in workspaces.PROJECT.names():
        platform.run(f"invoke workspace.new {STACK}")
    held = {entry.get("name"): (entry.get("key"), entry.get("roles")) for entry in members.entries(STACK)}
    for party in parties:
        public = party.folder / f"{party.name}.pub"
        wanted = (_inline(public), ROLES[party.name].split(","))
        if held.get(party.name) != wanted:
            file = shlex.quote(_relative(public))
            platform.run(f"invoke member.add {party.name} --key {file} --roles {ROLES[party.name]} --stack {STACK}")
    platform.run(f"invoke workspace.up --stack {STACK} --yes")
    descriptor = demo / "platform" / "workspace.json"
    platform.run(f"invoke workspace.export --stack {STACK} --output {shlex.quote(_relative(descriptor))}")
    return descriptor


def _inline(public: Path) -> str:
    """A public key as in a workspace's configuration."""
    return base64.b64encode(read_public_key(public).spki).decode()


def _give_all(file: Path, name: str, parties: list[Actor]) -> None:
    """Copy a file of the platform team to all parties."""
    for party in parties:
        shutil.copyfile(file, party.folder / name)
    print(f"  platform gives {name} to {', '.join(party.name for party in parties)}")


def _policy(party: Actor) -> None:
    """Write a policy for this image and workspace, unless the one of an earlier demo is the same."""
    path = party.folder / "policy.json"
    if path.exists():
        wanted = start_policy(party.folder / "image.json", party.folder / "workspace.json", allow_local=True)
        if load_policy(path) == wanted.policy:
            print(f"{party.name} has its policy from an earlier demo: {party.folder.name}/policy.json")
            return
        path.unlink()
    command = "cloister policy --image image.json --workspace workspace.json --allow-local --output policy.json --yes"
    party.run(command, quiet=party.name != "lab")


def _end_unfinished(lab: Actor) -> None:
    """Stop the run that an interrupted demo left: a CVM with an unfinished run is not replaced."""
    files = [lab.folder / name for name in ("lab.pem", "policy.json", "workspace.json")]
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
        _headline("An earlier demo was interrupted: the owner stops its run")
        lab.run(f"cloister stop --key lab.pem {_WHERE}")


def _fresh_machine(lab: Actor) -> None:
    """Reset a CVM that already has the manifest of an earlier demo."""
    cvm = find_cvm(load_descriptor(lab.folder / "workspace.json"), None)
    policy = load_policy(lab.folder / "policy.json")
    target = Target(Address.parse(cvm.endpoint), policy, cvm.name)
    with attest(target) as opening:
        used = opening.binding.manifest_digest is not None
    if used:
        _headline("The CVM already has a manifest: its owner resets it (half a minute without KVM)")
        lab.run(f"cloister reset --key lab.pem {_WHERE}")


def _headline(*lines: str) -> None:
    print(f"\n=== {lines[0]}", *(f"    {line}" for line in lines[1:]), sep="\n", flush=True)


def _relative(path: Path) -> str:
    """``path`` relative to the checkout."""
    return os.path.relpath(path, CHECKOUT)


def _environment() -> dict[str, str]:
    """The environment of every command: this interpreter's programs first, and no variable that replaces an option.

    A lock that --relock wrote applies to all later commands.
    """
    kept = {name: text for name, text in os.environ.items() if not name.startswith("CLOISTER_") or name in _KEPT}
    kept.setdefault("CLOISTER_LOCKS", str(RELOCKED))
    kept.pop("AGENT_GRPC_URL", None)
    return {**kept, "PATH": f"{Path(sys.executable).parent}:{kept.get('PATH', '')}"}


def _farewell(output: Path, seconds: float) -> None:
    metrics = json.loads((output / "lab" / "results" / "metrics.json").read_bytes())
    if not metrics:
        raise CloisterError("The metrics in the result are empty.", hint="See the run: cloister events, cloister logs")
    place = _relative(output)
    print(f"""
=== Done in {seconds:.0f} s. The workspace is still up.

Result     {place}/lab/results.zip, unpacked in {place}/lab/results/
Timeline   {place}/hospital-1/events.jsonl
Folders    {", ".join(f"{place}/{name}" for name in PARTIES)}

Next, from the checkout, after  . .cloister/env
  (cd {place}/lab && cloister status --key lab.pem {_WHERE})
  (cd {place}/lab && cloister verify-result results.zip --policy policy.json)
  invoke image.verify                       # rebuild the image and compare
  invoke workspace.down --stack {STACK}      # stop the CVM; verify-result still works
A second fetch is refused: the key of a result is released once:
  (cd {place}/lab && cloister result --key lab.pem --manifest manifest.json {_WHERE} --output again.zip)
""")
