"""The scripts of the example as modules, and the real cases."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

TUMOUR = Path(__file__).parents[2] / "examples" / "tumour"


def load(name: str) -> ModuleType:
    """A script of the example, imported from its path because it is not in a package."""
    module_name = f"tumour_{name}"
    if module_name not in sys.modules:
        spec = importlib.util.spec_from_file_location(module_name, TUMOUR / f"{name}.py")
        assert spec is not None and spec.loader is not None
        sys.modules[module_name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[module_name])
    return sys.modules[module_name]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of the four parties, from the real table (downloaded once into the user's cache)."""
    folder = tmp_path_factory.mktemp("demo")
    load("prepare").prepare(folder)
    return folder


@pytest.fixture(scope="session")
def tumour_train() -> ModuleType:
    """``train.py`` as a module."""
    return load("train")


@pytest.fixture(scope="session")
def tumour_prepare() -> ModuleType:
    """``prepare.py`` as a module."""
    return load("prepare")
