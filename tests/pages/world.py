"""Where the commands of a page run: a folder with files, an agent in place of a booted machine, an engine of its own.

Between two blocks of a page, other people act (``tests/pages/steps.py``).
"""

import contextlib
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TypeAlias

from cloister import usercache
from cloister.attestation.testkit import Authority
from cloister.client.files.keys import KeyType, generate_key, load_key
from cloister.keyfile.public import read_public_key
from cloister.protocol.bootconfig import BootConfiguration
from cloister.protocol.descriptor import CvmEntry, Descriptor, MemberEntry
from cloister.protocol.imagemanifest import ImageManifest, ImageOutput
from tests.agent_fixture import accepting_policy, new_authority, running_agent
from tests.infra.clouds import forkserver
from tests.infra.project import PLUGIN, Project
from tests.pages.markdown import CHECKOUT, Block
from tests.pages.verb import IMAGE, PROJECT
from tests.small_wheels import SmallWheel

WORKSPACE, CVM = "trial", "trainer"
ROLES = {"lab": ("owner", "algorithm-provider", "result-consumer"), "hospital-1": ("dataset-provider",)}
SECONDS = 120
_VERB = Path(__file__).with_name("verb.py")
_STANDIN = CHECKOUT / "tests" / "infra" / "standin" / "provider.py"
_DISK = bytes(4096)

MANIFEST = """\
version: 1
name: stay
description: how long patients stay
parties:
  lab: {key: lab.pub}
  hospital-1: {key: hospital-1.pub}
algorithm: {provider: lab, kind: python, file: train.py, bundle: numpy.bundle}
datasets:
  - {name: h1, provider: hospital-1, file: h1.csv}
results: {consumers: [lab, hospital-1], expires: 24h, max: 1MiB}
logs: {readers: [lab], max: 4KiB}
limits: {time: 2m, memory: 512MiB, cpus: 1, processes: 16}
"""
PROGRAM = "open('results/model.json', 'w').write('{}')\n"


@dataclass
class World:
    """``environment`` is that of the reader's shell; what a block sets stays set."""

    folder: Path
    environment: dict[str, str]
    stack: contextlib.ExitStack
    steps: Mapping[str, "Step"]
    authority: Authority = field(default_factory=new_authority)
    machine: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    project: Project | None = None
    printed: dict[str, str] = field(default_factory=dict)
    """What each block printed, by its place."""

    # ---- running

    def run(self, block: Block) -> None:
        """Do what the comments of a block say, then run it. Raises AssertionError with what it printed."""
        for name, said in block.comments:
            if name == "before":
                self.step(said)
            elif name == "as":
                self.environment["CLOISTER_KEY"] = f"{said}.pem"
        if any(block.commands("invoke", "pulumi")):
            self.need_engine()
        self.printed[block.place] = self.shell(block.text, block.place)

    def step(self, said: str) -> None:
        """What others do before a block."""
        action = self.steps[said]
        if isinstance(action, str):
            self.shell(action, said)
        else:
            action(self)

    def shell(self, text: str, what: str) -> str:
        """Run commands in one shell, as a reader who types them in a row; returns what they print."""
        kept = self.folder / ".environment"
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eu", "-o", "pipefail", "-c", f"{text}\nenv -0 >{kept}\n"],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{what} ended with status {done.returncode}:\n{text}\n{done.stdout}"
        self.environment = dict(one.split("=", 1) for one in kept.read_text().split("\0") if "=" in one)
        return done.stdout

    # ---- what is there

    def need_engine(self) -> None:
        """A Pulumi project for the platform team's verbs, with the stand-in in QEMU's place."""
        if self.project is not None:
            return
        place = self.folder / ".platform"
        plugin = place / "plugin" / PLUGIN
        plugin.parent.mkdir(parents=True)
        plugin.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P "{_STANDIN}" "$@"\n')
        plugin.chmod(0o755)
        self.project = made = Project.without_stack(place, WORKSPACE, provider=plugin.parent)
        ours = {name: value for name, value in made.environment.items() if os.environ.get(name) != value}
        ours["PATH"] = f"{self.folder / '.bin'}{os.pathsep}{ours['PATH']}"
        registry = place / "project" / "registry"
        registry.mkdir()
        (registry / "Pulumi.yaml").write_bytes((CHECKOUT / "infra" / "registry" / "Pulumi.yaml").read_bytes())
        self.environment |= ours | {PROJECT: str(made.folder), "STANDIN": "ready", IMAGE: str(self.image)}
        self.stack.callback(self.destroy)

    def destroy(self) -> None:
        """Destroy the workspaces that a page left up."""
        assert self.project is not None
        for left in self.project.folder.glob("Pulumi.*.yaml"):
            name = left.name.split(".")[1]
            self.shell(f"invoke workspace.down --stack {name} --force", "The end")

    @property
    def image(self) -> Path:
        """The manifest of the image that machines of this world boot: its values are those of ``running_agent``."""
        path = self.folder / ".image" / "manifest.json"
        if not path.exists():
            path.parent.mkdir()
            (path.parent / "disk.raw").write_bytes(_DISK)
            expected = accepting_policy(BootConfiguration(WORKSPACE, CVM, ("00" * 32,)), new_authority()).images[0]
            manifest = ImageManifest(
                flavor="base",
                debug=False,
                inputs=dict.fromkeys(("recipe", "lock", "tools", "source"), "00" * 32),
                outputs={"disk.raw": ImageOutput(hashlib.sha256(_DISK).hexdigest(), len(_DISK))},
                pcrs={12: "00" * 32, 13: "00" * 32} | {number: value.hex() for number, value in expected.pcrs.items()},
            )
            path.write_bytes(manifest.encode())
        return path

    def make_keys(self) -> None:
        """A key pair for each party that has none."""
        for name in ("lab", "hospital-1"):
            if not (self.folder / f"{name}.pem").exists():
                generate_key(self.folder / f"{name}.pem", KeyType.ED25519)

    def start_machine(self) -> None:
        """The agent of the workspace in ``workspace.json``, which is written if it does not exist; the lab owns it.

        It takes the place of the one before. The workspace's authority stays.
        """
        self.machine.close()
        shutil.rmtree(self.folder / ".machine", ignore_errors=True)
        (self.folder / "image.json").write_bytes(self.image.read_bytes())
        self.make_keys()
        path = self.folder / "workspace.json"
        if path.exists():
            descriptor = Descriptor.parse(path.read_bytes())
        else:
            boot = BootConfiguration(WORKSPACE, CVM, (load_key(self.folder / "lab.pem").id,))
            descriptor = Descriptor(
                workspace=WORKSPACE,
                backend="local",
                flavor="base",
                image=ImageManifest.parse(self.image.read_bytes()).digest().hex(),
                members=tuple(
                    MemberEntry(one.stem, read_public_key(one).spki, ROLES.get(one.stem, ("auditor",)))
                    for one in sorted(self.folder.glob("*.pub"))
                ),
                cvms=(CvmEntry(CVM, "127.0.0.1:1", "local", boot),),
                authority=b"",
            )
        (cvm,) = descriptor.cvms
        running = self.machine.enter_context(
            running_agent(
                self.folder / ".machine",
                cvm.boot_configuration.owners,
                workspace=descriptor.workspace,
                cvm=cvm.name,
                authority=self.authority,
            )
        )
        cvm = replace(cvm, endpoint=str(running.address), boot_configuration=running.boot_configuration)
        path.write_bytes(replace(descriptor, cvms=(cvm,), authority=running.certificate).encode())

    def make_policy(self) -> None:
        """A policy that accepts the machine, and the settings of a party that has one."""
        (self.folder / "policy.json").unlink(missing_ok=True)
        self.shell(
            "cloister policy --image image.json --workspace workspace.json --output policy.json --allow-local",
            "The policy",
        )
        self.environment |= {"CLOISTER_POLICY": "policy.json", "CLOISTER_WORKSPACE": "workspace.json"}
        self.environment.setdefault("CLOISTER_KEY", "lab.pem")


Step: TypeAlias = str | Callable[[World], None]
"""What other people do: commands for a shell, or a function."""


@cache
def _runner() -> str:
    """The words, for a shell, that run a verb: in a fork of a process that has imported all of them."""
    return forkserver.command("tests.pages.preloaded", kept=True)


@contextlib.contextmanager
def world(folder: Path, steps: Mapping[str, Step]) -> Iterator[World]:
    """A folder with what a party has on its disk, and the two programs; ``steps`` are what other people can do."""
    programs = folder / ".bin"
    programs.mkdir()
    for program in ("cloister", "invoke"):
        (programs / program).write_text(f'#!/bin/sh\nexec {_runner()} {shlex.quote(str(_VERB))} {program} "$@"\n')
        (programs / program).chmod(0o755)
    (folder / "computation.yaml").write_text(MANIFEST)
    (folder / "train.py").write_text(PROGRAM)
    (folder / "h1.csv").write_text("age,days\n" + "61,4\n" * 1000)
    (folder / "requirements.txt").write_text("numpy~=2.2\n")
    (folder / ".index").mkdir()
    SmallWheel("numpy", {"numpy.py": b""}, version="2.2.4").write(folder / ".index")
    (folder / "mock").mkdir()
    (folder / "mock" / "h1.csv").write_text("age,days\n50,1\n")
    environment = {
        "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "HOME": str(folder / ".home"),
        "LANG": "C.UTF-8",
        "PYTHONUTF8": "1",
        "PYTHONPATH": str(CHECKOUT),
        "XDG_CACHE_HOME": str(usercache.root().parent),
        "XDG_STATE_HOME": str(folder / ".home" / "state"),
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(folder / ".index"),
        "UV_NO_CONFIG": "1",
        "UV_OFFLINE": "1",
        **{name: os.environ[name] for name in ("CLOISTER_LOCKS", "TMPDIR") if name in os.environ},
    }
    (folder / ".home").mkdir()
    with contextlib.ExitStack() as stack:
        made = World(folder, environment, stack, steps)
        stack.callback(made.machine.close)
        yield made
