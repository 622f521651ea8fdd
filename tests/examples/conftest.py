"""The scripts of the examples as modules, and the real cases of the tumour example."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(example: str, name: str) -> ModuleType:
    """A script of an example, imported from its path because it is not in a package.

    As for a script, its own folder is the first in which Python looks for modules.
    """
    module_name = f"{example}_{name}"
    if module_name not in sys.modules:
        folder = EXAMPLES / example
        spec = importlib.util.spec_from_file_location(module_name, folder / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = sys.modules[module_name] = importlib.util.module_from_spec(spec)
        sys.path.insert(0, str(folder))
        try:
            spec.loader.exec_module(module)
        finally:
            sys.path.remove(str(folder))
    return sys.modules[module_name]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of the four parties, from the real table (downloaded once into the user's cache)."""
    folder = tmp_path_factory.mktemp("demo")
    load("tumour", "prepare").prepare(folder)
    return folder


@pytest.fixture(scope="session")
def tumour_train() -> ModuleType:
    """``train.py`` as a module."""
    return load("tumour", "train")


@pytest.fixture(scope="session")
def tumour_prepare() -> ModuleType:
    """``prepare.py`` as a module."""
    return load("tumour", "prepare")
