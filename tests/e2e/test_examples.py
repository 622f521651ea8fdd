"""The examples to their ends: each by trial, and small in a CVM, to a proven result, its pictures and a prediction.

They run as a reader runs them, in this checkout and its workspaces; what they made is removed at the end, unless it was
there before.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloister.client.trial import program
from cloister.client.trial.report import TrialReport
from examples.catalogue import CHEST_XRAY, FRAUD, TURBOFAN, Example
from image.build import incremental, output, root_tree
from infra import paths
from infra.live import workspaces
from tests.examples.conftest import load

pytestmark = pytest.mark.examples

PNG = b"\x89PNG\r\n\x1a\n"
PICTURES = {
    CHEST_XRAY.name: ("confusion.png", "prediction_COVID-2.png", "prediction_Viral Pneumonia-1014.png"),
    FRAUD.name: ("roc.png",),
    TURBOFAN.name: ("rul.png", "rul_engines.png"),
}
SAID = {
    CHEST_XRAY.name: (
        "The predicted class for the image is: COVID",
        "Image with prediction saved to ./results/prediction_COVID-2.png",
        "The predicted class for the image is: Viral Pneumonia",
        "Image with prediction saved to ./results/prediction_Viral Pneumonia-1014.png",
    ),
    FRAUD.name: ("of 200 transactions are suspicious.", "Probabilities saved to ./results/predictions.csv"),
    TURBOFAN.name: ("remaining useful life about", "Curves saved to ./results/rul_engines.png"),
}
EXAMPLES = (CHEST_XRAY, FRAUD, TURBOFAN)
named = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)


def run(example: Example, folder: Path, *options: str) -> str:
    """What `invoke example` prints; it has to succeed."""
    command = [sys.executable, "-m", "invoke", "example", example.name, "--output", str(folder), *options]
    done = subprocess.run(command, cwd=paths.CHECKOUT, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def check(example: Example, folder: Path, printed: str) -> dict:
    """The metrics of the result, whose pictures and predictions have to be there."""
    consumer = folder / {"fraud": "bank-1"}.get(example.name, example.owner)
    for said in SAID[example.name]:
        assert said in printed
    for name in PICTURES[example.name]:
        assert (consumer / "results" / name).read_bytes().startswith(PNG)
    assert (consumer / "results/report.txt").read_text() in printed
    return json.loads((consumer / "results/metrics.json").read_text())


@named
def test_trial_ends_with_a_prediction_and_the_joint_model_is_best(example: Example, tmp_path: Path) -> None:
    metrics = check(example, tmp_path, run(example, tmp_path, "--native"))

    if example is TURBOFAN:
        assert all(metrics["joint"]["error"] < alone["error"] for alone in metrics["alone"].values())
        assert metrics["workers"] > 0
    else:
        measure = "accuracy" if example is CHEST_XRAY else "auc"
        assert all(metrics["joint"][measure] > alone[measure] for alone in metrics["alone"].values())


@pytest.fixture
def removed(example: Example) -> Iterator[None]:
    """The example's workspace is removed at the end, unless it was there before."""
    before = example.name in workspaces.PROJECT.names()
    yield
    if not before:
        command = [
            sys.executable,
            "-m",
            "invoke",
            "workspace.down",
            "--stack",
            example.name,
            "--yes",
            "--force",
            "--remove",
        ]
        subprocess.run(command, cwd=paths.CHECKOUT, capture_output=True, check=False)


@named
@pytest.mark.usefixtures("removed")
def test_small_run_in_a_cvm_ends_with_a_proven_result(example: Example, tmp_path: Path) -> None:
    printed = run(example, tmp_path, "--small")

    check(example, tmp_path, printed)
    assert "From the started CVM to the proven result" in printed


@pytest.fixture(scope="session")
def torch_tree() -> Path:
    """The files of the image of flavor pytorch."""
    incremental.build("pytorch", output.folder("pytorch"), relock=True, say=lambda step: None)
    return root_tree.unpacked(output.folder("pytorch"))


@pytest.fixture(scope="session")
def radiographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The parties' folders of the small chest X-ray example."""
    folder = tmp_path_factory.mktemp("radiographs")
    load("chest-xray", "prepare").prepare(folder, small=True, source=None, weights=None, model="resnet18")
    return folder


def chest_xray(tree: Path, script: str, *words: str, files: dict[str, Path], data: Path | None = None) -> TrialReport:
    """A script of the chest X-ray example on one hospital's pictures."""
    return program.run(
        tree,
        CHEST_XRAY.folder / script,
        args=words,
        environment={"OMP_NUM_THREADS": "1"},
        files={"network.py": CHEST_XRAY.folder / "network.py", **files},
        datasets={"h1": data} if data else {},
        unpack=["h1"] if data else [],
    )


def test_weights_are_fine_tuned_and_others_are_refused(torch_tree: Path, radiographs: Path, tmp_path: Path) -> None:
    makes = tmp_path / "makes.py"
    makes.write_text(
        "import torch, torchvision\ntorch.save(torchvision.models.resnet18().state_dict(), 'results/w.pth')\n"
        "torch.save({'a': torch.zeros(1)}, 'results/other.pth')\n"
    )
    with (tmp_path / "kept.zip").open("wb") as kept:
        assert program.run(torch_tree, makes, keep=kept).ok
    weights = _unpacked(tmp_path / "kept.zip", tmp_path)
    words = ("--model", "resnet18", "--size", "32", "--epochs", "1", "--weights", "w.pth")
    zipped = radiographs / "hospital-1/h1.zip"

    tuned = chest_xray(torch_tree, "train.py", *words, files={"w.pth": weights / "w.pth"}, data=zipped)
    other = chest_xray(torch_tree, "train.py", *words, files={"w.pth": weights / "other.pth"}, data=zipped)

    assert tuned.ok, tuned.output
    assert b"ResNet-18, fine-tuned from w.pth" in tuned.output
    assert (other.outcome, other.output) == (
        "EXIT_STATUS",
        b"ResNet-18, fine-tuned from w.pth\nw.pth does not have the weights of ResNet-18.\n",
    )


def _unpacked(zipped: Path, folder: Path) -> Path:
    from cloister.client.result.result_files import unpack_result

    unpack_result(zipped, folder / "kept")
    return folder / "kept"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no model", b"model.pth is not a file of PyTorch's weights.\n"),
        (b"", b"model.pth is not a file of PyTorch's weights.\n"),
    ],
)
def test_prediction_with_another_file_is_one_sentence(
    torch_tree: Path, tmp_path: Path, content: bytes, said: bytes
) -> None:
    (tmp_path / "model.pth").write_bytes(content)
    files = {"model.pth": tmp_path / "model.pth"}

    found = chest_xray(torch_tree, "predict.py", "--model", "model.pth", "--image", "x.png", files=files)

    assert (found.outcome, found.output) == ("EXIT_STATUS", said)


def test_hospital_without_pictures_is_one_sentence(torch_tree: Path, tmp_path: Path) -> None:
    place = tmp_path / "h1"
    (place / "COVID").mkdir(parents=True)
    (place / "COVID" / "notes.txt").write_text("no picture")
    found = chest_xray(torch_tree, "train.py", files={}, data=place)

    assert (found.outcome, found.output) == (
        "EXIT_STATUS",
        b"h1 has 0 pictures of COVID; at least 8 are needed.\n",
    )
