"""The image `pytorch` and a team's own image: built, rebuilt, and used in a trial. `invoke test.flavors` runs them.

The commands of docs/own-image.md are those that run here.
"""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloister.attestation.first_policy.from_manifest import policy_from_manifest
from cloister.attestation.result.verdict import Verdict
from cloister.client.connection.opening import Target, attest
from cloister.client.trial import program
from cloister.endpoint import Address
from image.build import incremental, output, root_tree, verify
from image.inputs import recipe
from image.rootfs import elf
from infra import paths
from infra.configuration import image
from infra.configuration.image import Image
from tests.e2e.workspace import CVM, RunningWorkspace
from tests.pages.markdown import SHELL, blocks

pytestmark = pytest.mark.flavors

_PAGE = paths.CHECKOUT / "docs" / "own-image.md"
_MOST_BYTES = 300_000_000
_LIMITS = program.TrialLimits(time=1800, memory=3 << 30, cpus=2, processes=256, results=200 << 20, logs=1 << 20)
# Found beside the file that needs it.
_BESIDE = "libsf_error_state.cpython-313-x86_64-linux-gnu.so"


@pytest.fixture(scope="session")
def pytorch(allowed: Path) -> Path:
    """The folder of the built image."""
    incremental.build("pytorch", output.folder("pytorch"), relock=True)
    return output.folder("pytorch")


def test_image_is_small_enough(pytorch: Path) -> None:
    assert output.read_manifest(pytorch).outputs["disk.raw"].size < _MOST_BYTES


def test_manifest_lists_what_people_import(pytorch: Path) -> None:
    packages = output.read_manifest(pytorch).packages
    expected = {"torch": "2.6.0", "torchvision": "0.21.0", "numpy": "2.2.4", "pillow": "11.1.0", "matplotlib": "3.10.1"}
    assert {name: packages[name].partition("+")[0] for name in expected} == expected
    assert {"pandas", "scikit-learn", "scipy"} <= packages.keys()
    assert not output.read_manifest(output.folder("base")).packages


def test_every_library_finds_what_it_needs(pytorch: Path) -> None:
    """So that what was cut is nothing that another file loads."""
    root = root_tree.unpacked(pytorch)
    found = {path.name for folder in ("usr/lib/x86_64-linux-gnu", "usr/lib") for path in (root / folder).iterdir()}
    missing = {}
    for path in sorted(root.rglob("*.so*")):
        if path.is_file() and not path.is_symlink() and (data := path.read_bytes()).startswith(b"\x7fELF"):
            missing.update({name: path.name for name in elf.needed(data) if name not in found and name != _BESIDE})
    assert missing == {}


def test_training_works(pytorch: Path) -> None:
    """Loader workers, saving, TorchScript, pictures, plots, and the BLAS that the links choose."""
    done = program.run(root_tree.unpacked(pytorch), Path(__file__).with_name("torch_training.py"), limits=_LIMITS)
    assert (done.outcome, done.output.decode().splitlines()[-1]) == ("OK", "everything works"), done.output.decode()
    assert {"model.pth", "model.pt", "loss.png", "loss.pdf"} <= {Path(file.name).name for file in done.results}


def test_rebuilt_image_is_identical(pytorch: Path) -> None:
    assert verify.verify("pytorch", pytorch).same


def page_blocks(language: str) -> list[str]:
    """The blocks of the page in a language."""
    return [block.text for block in blocks(_PAGE, language)]


def page_commands() -> list[str]:
    """The commands of the page, without their comments."""
    lines = "".join(page_blocks(SHELL)).splitlines()
    return [command for line in lines if (command := line.partition(" #")[0].strip())]


def run_commands(commands: list[str], folder: Path) -> dict[str, str]:
    """Run commands of the page in a folder; what each printed, by its verb."""
    programs = {
        "invoke": [sys.executable, "-m", "invoke", "--search-root", str(paths.CHECKOUT)],
        "cloister": [sys.executable, "-m", "cloister"],
        "cp": ["cp"],
    }
    printed = {}
    for command in commands:
        first, *rest = shlex.split(command.replace("out/image/", f"{paths.CHECKOUT}/out/image/"))
        environment = os.environ | {"PYTHONPATH": str(paths.CHECKOUT)}
        # A reader confirms at the terminal, which a test does not have.
        words = [*programs[first], *rest, *(["--yes"] if rest[0] == "policy" else [])]
        done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        printed[rest[0]] = done.stdout
    return printed


@pytest.fixture
def hospital(allowed: Path, tmp_path: Path) -> Iterator[Path]:
    """A folder with the page's recipe beside what its commands need; the image goes afterwards."""
    folder = tmp_path / "hospital"
    folder.mkdir()
    (text,) = page_blocks("toml")
    (folder / "hospital.toml").write_text(text)
    (folder / "codes.csv").write_text("code,meaning\n1,one\n")
    (tmp_path / "mock").mkdir()
    (tmp_path / "mock/h1.csv").write_text("1\n")
    (tmp_path / "train.py").write_text(
        "print(open('/usr/share/hospital/codes.csv').read())\nopen('results/done', 'w').close()\n"
    )
    (tmp_path / "computation.yaml").write_text(
        "version: 1\nname: codes\nparties: {lab: {key: lab.pub}}\n"
        "algorithm: {provider: lab, kind: python, file: train.py}\n"
        "datasets: [{name: h1, provider: lab, file: mock/h1.csv, unpack: false}]\n"
        "results: {consumers: [lab], expires: 24h, max: 1MiB}\n"
        "logs: {readers: [lab], max: 64KiB, release: end}\n"
        "limits: {time: 1m, memory: 256MiB, cpus: 1, processes: 16}\n"
    )
    yield tmp_path
    shutil.rmtree(output.folder("hospital"), ignore_errors=True)


def test_commands_of_the_page_lead_to_a_verdict(
    hospital: Path, base_image: Image, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """All commands but the lock: the recipe is built from that of base, which a test does not renew."""
    commands = [one for one in page_commands() if "image.lock" not in one]
    ours = [one for one in commands if one.startswith("invoke ")]
    verbs = ["image.build", "image.verify", "image.measure", "image.build", "image.diff", "try"]
    assert [one.split()[1] for one in ours] == verbs
    printed = run_commands(ours, hospital)
    assert "root: usr/share/hospital/codes.csv: added" in printed["image.diff"]
    assert "code,meaning" in printed["try"]
    assert not list(hospital.rglob("*.lock.json"))
    assert recipe.load(str(hospital / "hospital" / "hospital.toml")).lock == recipe.load("base").lock

    theirs = [one for one in commands if not one.startswith("invoke ")]
    assert [one.split()[:2] for one in theirs[1:]] == [["cloister", "policy"], ["cloister", "attest"]]
    running = RunningWorkspace.create(tmp_path_factory.mktemp("own"), image.find("hospital"))
    with running.destroyed_at_end():
        assert "ACCEPTED" in run_commands(theirs, running.parties.folder)["attest"]
        assert verdict(running, base_image).failures


def test_machine_of_pytorch_is_accepted(pytorch: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Its root is compressed in another way than that of base."""
    running = RunningWorkspace.create(tmp_path_factory.mktemp("torch"), image.find("pytorch"), memory="3GiB")
    with running.destroyed_at_end():
        assert verdict(running, image.find("pytorch")).failures == ()


def verdict(running: RunningWorkspace, expected: Image) -> Verdict:
    """What a policy for an image says of the workspace's machine."""
    descriptor = running.descriptor()
    policy, _ = policy_from_manifest(expected.manifest, descriptor, allow_local=True)
    with attest(Target(Address.parse(descriptor.cvms[0].endpoint), policy, CVM)) as opening:
        return opening.verdict
