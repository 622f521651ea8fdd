"""The whole way on one machine: every party's steps, under its own name and key, in its own folder.

What is shown after ``lab$`` is what runs, in that folder below out/demo/: a reader can type the same there, with
``.venv/bin`` on the PATH. Nothing is shared between the folders but what the parties hand each other.
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

from cloister.client.computation import status as states
from cloister.client.computation.timeline import ENDED
from cloister.client.connection import connection
from cloister.client.evidence import policy as policies
from cloister.client.files import descriptor_file, keys
from cloister.endpoint import Address
from cloister.errors import CloisterError, InputError
from cloister.protocol.events import State
from image.inputs.lockfile import RELOCKED

CHECKOUT = Path(__file__).resolve().parents[2]
STACK = "tumour"
HOSPITALS = ("hospital-1", "hospital-2", "hospital-3")
PARTIES = ("lab", *HOSPITALS)
ROLES = {"lab": "owner,algorithm-provider,result-consumer", **dict.fromkeys(HOSPITALS, "dataset-provider")}
_KEPT = ("CLOISTER_DEBIAN_MIRROR", "CLOISTER_DEBIAN_SNAPSHOT", "CLOISTER_LOCKS")
_WHERE = "--workspace workspace.json --policy policy.json"


@dataclass(frozen=True)
class Player:
    """Somebody who types commands in a folder of its own."""

    name: str
    folder: Path

    def types(self, command: str, *, quiet: bool = False) -> None:
        """Show a command and run it on the same terminal. Raises CloisterError when it fails."""
        print(f"{self.name}$ {command}", flush=True)
        words = shlex.split(command)
        output = subprocess.DEVNULL if quiet else None
        with subprocess.Popen(words, cwd=self.folder, env=_environment(), stdout=output) as process:
            try:
                status = process.wait()
            except KeyboardInterrupt:
                # Ctrl-C reached the command, too, which tidies up and says what is left: not to be killed meanwhile.
                process.wait()
                raise
        if status:
            raise CloisterError(
                f"{words[0]} {words[1]} ended with status {status}; the demo stops here.",
                hint="What it said stands above. The workspace stays as it is: `demo` goes on with it.",
                exit_code=status,
            )

    def hands(self, file: str, *receivers: "Player", to: str = ".") -> None:
        """Give a file to others, the way that a mail or a meeting would."""
        for receiver in receivers:
            target = receiver.folder / to
            target.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.folder / file, target / Path(file).name)
        names = ", ".join(receiver.name for receiver in receivers)
        print(f"  {self.name} hands {file} to {names}")


def run(output: Path) -> None:
    """Play the demo in ``output``. What an earlier one made and is still right is used again.

    Raises InputError while another one is under way, and CloisterError where a command fails.
    """
    with alone():
        _play(output)


@contextlib.contextmanager
def alone() -> Generator[None, None, None]:
    """No other demo in this checkout meanwhile, which would change folders and workspace under this one's feet.

    The kernel lets go of it when the process ends, however that is. Raises InputError.
    """
    from infra import paths

    with (paths.private_folder(paths.state()) / "demo.lock").open("w") as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                "Another demo is under way in this checkout.", hint="Wait for its end, or end it with Ctrl-C."
            ) from error
        yield


def _play(output: Path) -> None:
    began = time.monotonic()
    platform = Player("platform", CHECKOUT)
    lab, *hospitals = parties = [Player(name, output / name) for name in PARTIES]
    for party in parties:
        party.folder.mkdir(parents=True, exist_ok=True)

    _says("Four parties, each with a key of its own and its own files")
    _keys(parties)
    _says("The cases: 568 of the Breast Cancer Wisconsin table, cut into three hospitals (a download of 12 MB, once)")
    platform.types(f"python examples/tumour/prepare.py {shlex.quote(_relative(output))}", quiet=True)

    _says("The platform team builds the guest image (10 s; the first time a minute, 100 MB to fetch)")
    platform.types("invoke image.build --relock")
    _gives(CHECKOUT / "out" / "image" / "base" / "manifest.json", "image.json", parties)
    _end_unfinished(lab)
    _says("The platform team starts the machine: firmware, measured boot, agent (half a minute without KVM)")
    descriptor = _workspace(platform, lab.folder.parent, parties)

    _says(
        "Each party writes its own policy: this image, this workspace, this owner",
        "In earnest each would rebuild the image (invoke image.verify) and confirm every value by telephone first.",
    )
    _gives(descriptor, "workspace.json", parties)
    for party in parties:
        _policy(party)

    _fresh_machine(lab)
    _says("The lab checks the machine: every value that it measured, against the lab's policy")
    lab.types(f"cloister attest {_WHERE}")

    _says("The lab packs numpy for the guest, writes down what will run, and submits it")
    lab.types("cloister bundle requirements.txt --output numpy.bundle")
    for hospital, number in zip(hospitals, (1, 2, 3), strict=True):
        hospital.types(f"cloister checksum h{number}.csv")
        hospital.hands(f"{hospital.name}.pub", lab, to="keys")
    shutil.copyfile(lab.folder / "lab.pub", lab.folder / "keys" / "lab.pub")
    (lab.folder / "manifest.json").unlink(missing_ok=True)
    lab.types("cloister manifest manifest.yaml --output manifest.json")
    lab.types(f"cloister run --manifest manifest.json --key lab.pem {_WHERE} --detach")
    lab.hands("manifest.json", *hospitals)

    _says("A hospital reads what it agrees to, in plain words; each uploads after its own check of the machine")
    hospitals[0].types("cloister review manifest.json --key hospital-1.pem")
    for hospital, number in zip(hospitals, (1, 2, 3), strict=True):
        key = f"--key {hospital.name}.pem"
        hospital.types(f"cloister upload-data h{number}.csv {key} --manifest manifest.json {_WHERE}")

    _says("The lab uploads the algorithm; with the last asset the run begins (half a minute without KVM)")
    lab.types(
        f"cloister upload-algorithm train.py --bundle numpy.bundle --key lab.pem --manifest manifest.json {_WHERE}"
    )
    for old in (lab.folder / "results.zip", lab.folder / "results.zip.key", lab.folder / "results.zip.part"):
        old.unlink(missing_ok=True)
    shutil.rmtree(lab.folder / "results", ignore_errors=True)
    fetch = "--output results.zip --unpack results --wait"
    lab.types(f"cloister result --key lab.pem --manifest manifest.json {_WHERE} {fetch}")

    _says("Where does this model come from? The proof needs neither the machine nor a network")
    lab.types("cloister verify-result results.zip --policy policy.json")
    _says("A hospital looks at the whole timeline, and keeps it")
    hospitals[0].types(f"cloister events --key hospital-1.pem --manifest manifest.json {_WHERE} --save events.jsonl")
    hospitals[0].types("cloister audit events.jsonl --policy policy.json")

    _says("What it is worth: on held-out cases, against what each hospital alone would have reached")
    lab.types("cat results/report.txt")
    _says("A new patient")
    lab.types("python predict.py results/model.json case.json")
    _farewell(output, time.monotonic() - began)


def _keys(parties: list[Player]) -> None:
    for party in parties:
        if (party.folder / f"{party.name}.pem").exists():
            print(f"{party.name} has its key from an earlier demo: {keys.load(party.folder / f'{party.name}.pem').id}")
        else:
            party.types(f"cloister keys --output {party.name}.pem")


def _workspace(platform: Player, demo: Path, parties: list[Player]) -> Path:
    """Bring up the workspace of these members; its descriptor."""
    from infra.live import members, workspaces

    if STACK not in workspaces.PROJECT.names():
        platform.types(f"invoke workspace.new {STACK}")
    held = {entry.get("name"): (entry.get("key"), entry.get("roles")) for entry in members.entries(STACK)}
    for party in parties:
        public = party.folder / f"{party.name}.pub"
        wanted = (_inline(public), ROLES[party.name].split(","))
        if held.get(party.name) != wanted:
            file = shlex.quote(_relative(public))
            platform.types(f"invoke member.add {party.name} --key {file} --roles {ROLES[party.name]} --stack {STACK}")
    platform.types(f"invoke workspace.up --stack {STACK} --yes")
    descriptor = demo / "platform" / "workspace.json"
    platform.types(f"invoke workspace.export --stack {STACK} --output {shlex.quote(_relative(descriptor))}")
    return descriptor


def _inline(public: Path) -> str:
    """A public key as a workspace's configuration holds it."""
    return base64.b64encode(keys.load_public(public)).decode()


def _gives(file: Path, name: str, parties: list[Player]) -> None:
    """What the platform team hands to everybody."""
    for party in parties:
        shutil.copyfile(file, party.folder / name)
    print(f"  platform hands {name} to {', '.join(party.name for party in parties)}")


def _policy(party: Player) -> None:
    """A policy for this image and workspace; one of an earlier demo goes when it demands something else."""
    path = party.folder / "policy.json"
    if path.exists():
        wanted, _ = policies.start(party.folder / "image.json", party.folder / "workspace.json", allow_local=True)
        if policies.load(path) == wanted:
            print(f"{party.name} has its policy from an earlier demo: {party.folder.name}/policy.json")
            return
        path.unlink()
    command = "cloister policy --image image.json --workspace workspace.json --allow-local --output policy.json --yes"
    party.types(command, quiet=party.name != "lab")


def _end_unfinished(lab: Player) -> None:
    """A machine with an unfinished run is not replaced: one that an interrupted demo left is stopped by its owner."""
    files = [lab.folder / name for name in ("lab.pem", "policy.json", "workspace.json")]
    if not all(file.exists() for file in files):
        return
    key, policy, descriptor = files
    cvm = descriptor_file.find(descriptor_file.load(descriptor), None)
    target = connection.Target(Address.parse(cvm.endpoint), policies.load(policy), cvm.name)
    try:
        with connection.Connection(target, keys.load(key)) as connected:
            state = states.state(connected.session().status())
    except CloisterError:
        return  # gone, or another machine by now: bringing up the workspace tells
    if state is not State.IDLE and state not in ENDED:
        _says("An earlier demo was interrupted: its owner stops what it left")
        lab.types(f"cloister stop --key lab.pem {_WHERE}")


def _fresh_machine(lab: Player) -> None:
    """A machine takes one manifest in its life: after an earlier demo it gets a new one."""
    cvm = descriptor_file.find(descriptor_file.load(lab.folder / "workspace.json"), None)
    policy = policies.load(lab.folder / "policy.json")
    target = connection.Target(Address.parse(cvm.endpoint), policy, cvm.name)
    with connection.attest(target) as opening:
        used = opening.binding.manifest_digest is not None
    if used:
        _says("The machine has taken a manifest in its life: its owner resets it (half a minute without KVM)")
        lab.types(f"cloister reset --key lab.pem {_WHERE}")


def _says(*lines: str) -> None:
    print(f"\n=== {lines[0]}", *(f"    {line}" for line in lines[1:]), sep="\n", flush=True)


def _relative(path: Path) -> str:
    """As short as a reader would type it, from the checkout."""
    return os.path.relpath(path, CHECKOUT)


def _environment() -> dict[str, str]:
    """This interpreter's programs first; nothing that would stand in for an option that the reader does not see.

    A lock that --relock wrote holds for every command that follows.
    """
    kept = {name: text for name, text in os.environ.items() if not name.startswith("CLOISTER_") or name in _KEPT}
    kept.setdefault("CLOISTER_LOCKS", str(RELOCKED))
    kept.pop("AGENT_GRPC_URL", None)
    return {**kept, "PATH": f"{Path(sys.executable).parent}:{kept.get('PATH', '')}"}


def _farewell(output: Path, seconds: float) -> None:
    metrics = json.loads((output / "lab" / "results" / "metrics.json").read_bytes())
    if not metrics:
        raise CloisterError("The metrics of the result are empty.")
    place = _relative(output)
    print(f"""
=== Done in {seconds:.0f} s. The workspace is still up.

Result     {place}/lab/results.zip, unpacked in {place}/lab/results/
Timeline   {place}/hospital-1/events.jsonl
Folders    {", ".join(f"{place}/{name}" for name in PARTIES)}

Next, from the checkout, after  . .cloister/env
  (cd {place}/lab && cloister status --key lab.pem {_WHERE})
  (cd {place}/lab && cloister verify-result results.zip --policy policy.json)
  invoke image.verify                       # rebuild the image elsewhere, and compare
  invoke workspace.down --stack {STACK}      # end the machine; verify-result still proves
A second fetch is refused, the key of a result goes out once:
  (cd {place}/lab && cloister result --key lab.pem --manifest manifest.json {_WHERE} --output again.zip)
""")
