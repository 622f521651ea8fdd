"""What holds for every example: its manifest is valid, its parties exist, and its options are refused elsewhere."""

from pathlib import Path

import pytest
import yaml

from cloister.client.computation.manifest import compose_manifest
from cloister.client.files.keys import KeyType, generate_key
from cloister.client.trial.source import compose_trial
from cloister.errors import InputError
from cloister.protocol import schema
from cloister.protocol.document import Document
from examples import catalogue
from examples.cast import Cast
from tests.examples.conftest import load

NEW = [example for example in catalogue.EXAMPLES if example is not catalogue.TUMOUR]
PREPARED = {
    "chest-xray": {"small": True, "source": None, "weights": None, "model": "resnet18"},
    "fraud": {"small": True, "source": None},
    "turbofan": {"small": True, "source": None},
}


@pytest.fixture(scope="module", params=NEW, ids=lambda example: example.name)
def cast(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Cast:
    """An example whose parties have their folders."""
    folder = tmp_path_factory.mktemp(request.param.name)
    load(request.param.name, "prepare").prepare(folder, **PREPARED[request.param.name])
    return Cast.of(request.param, folder)


@pytest.mark.parametrize("example", catalogue.EXAMPLES, ids=lambda example: example.name)
def test_template_is_an_authors_manifest(example: catalogue.Example) -> None:
    path = example.folder / "manifest.yaml"
    document = Document.parse(str(path), path.read_bytes())

    schema.validate("manifest-source", document.value, what="The manifest")
    assert document.value["name"] == example.name


def test_manifest_is_composed_without_the_data(cast: Cast) -> None:
    keys = cast.owner.folder / "keys"
    keys.mkdir(exist_ok=True)
    for party in cast.parties:
        generate_key(keys / f"{party.name}.pem", KeyType.ED25519)
    if cast.bundle:
        (cast.owner.folder / cast.bundle).write_bytes(bytes(10_240))  # an empty tar
    composed = compose_manifest(cast.owner.folder / "manifest.yaml")

    described = {asset.name: (asset.file, asset.size) for asset in composed.datasets}
    assert described == {name: (file, (provider.folder / file).stat().st_size) for provider, name, file in cast.data}


def test_prediction_is_a_valid_trial(cast: Cast) -> None:
    consumer = cast.consumers[0].folder
    (consumer / "results").mkdir(exist_ok=True)
    for name in ("model.pth", "fraud_model.ubj"):
        (consumer / "results" / name).write_bytes(b"a model")
    if cast.bundle:
        (consumer / cast.bundle).write_bytes(bytes(10_240))  # an empty tar
    composed, _ = compose_trial(consumer / "predict.yaml", {})

    assert composed.assets()[0].file == "predict.py"


def test_every_party_has_a_role_and_only_the_owner_owns(cast: Cast) -> None:
    roles = {party.name: cast.roles(party) for party in cast.parties}

    assert all(roles.values())
    assert [name for name, held in roles.items() if "owner" in held] == [cast.example.owner]


def test_vendor_of_the_fraud_model_gets_no_result() -> None:
    stated = yaml.safe_load((catalogue.FRAUD.folder / "manifest.yaml").read_text())

    assert stated["algorithm"]["provider"] == "vendor"
    assert stated["results"]["consumers"] == ["bank-1", "bank-2", "bank-3"]


@pytest.mark.parametrize(
    ("name", "option"), [("tumour", "small"), ("fraud", "weights"), ("turbofan", "model"), ("chest-xray", "colour")]
)
def test_option_of_another_example_is_refused(name: str, option: str) -> None:
    with pytest.raises(InputError, match=f"The example {name} has no --{option}") as caught:
        catalogue.find(name).words({option: "x"})
    assert caught.value.exit_code == 2


def test_unknown_example_is_refused() -> None:
    with pytest.raises(InputError, match=r"Unknown example turbines\.") as caught:
        catalogue.find("turbines")
    assert caught.value.hint == "The examples: tumour, chest-xray, fraud, turbofan."


def test_options_become_words_of_a_command_line() -> None:
    options = {"small": "", "source": "/tmp/real pictures"}
    assert catalogue.CHEST_XRAY.words(options) == " --small --source '/tmp/real pictures'"


def test_random_weights_are_called_so() -> None:
    assert "random weights (seeded, not pretrained)" in catalogue.CHEST_XRAY.note({})
    assert "fine-tuned from w.pth" in catalogue.CHEST_XRAY.note({"weights": "w.pth"})


@pytest.mark.parametrize("example", catalogue.EXAMPLES, ids=lambda example: example.name)
def test_example_is_listed_and_explained(example: catalogue.Example) -> None:
    page = (Path(catalogue.__file__).parent / "README.md").read_text()
    assert f"[{example.name}]({example.name}/README.md)" in page
    assert (example.folder / "README.md").is_file()
