"""What people train with, bundled, and used in a trial: the launcher, the sandbox and the files of the guest.

``tests/packages/locks`` has a lock of each row (its first line says what was asked for; `cloister lock` renews it), and
``tests/packages/programs`` the program. `make test` runs the rows of ``USUAL``, `invoke test.packages` all of them.
"""

from pathlib import Path

import pytest

from cloister.client.packages.bundle import make_bundle
from cloister.client.trial import program
from infra import paths
from tests.shared_files import INPUTS

_FOLDER = paths.CHECKOUT / "tests" / "packages"

USUAL = ("pandas-pyarrow", "polars")

# What each program prints.
PRINTED = {
    "scikit-learn": "True True",
    "pandas-pyarrow": ("True timestamp[us, tz=US/Eastern]\n6 6\n{'a': 5.0, 'b': 2.5} 2026-01-01T00:00:00.000000"),
    "polars": "[('a', 5.0), ('b', 2.5)] True\n1969-12-31 19:00:00-05:00",
    "scipy": "3.0 2.0\n6.0 3.0\n1.0 2\n[1 3]",
    "xgboost": "True",
    "lightgbm": "True",
    "statsmodels": "{'Intercept': 1.1, 'x': 2.0}\n50 True",
    "matplotlib-seaborn": "agg b'\\x89PNG\\r\\n\\x1a\\n' (480, 640, 4)",
    "opencv": "(32, 32) 1",
    "pillow": "(60, 20) (60, 20) (60, 20) (60, 20) (60, 20) True True",
    "dask": "{'a': 2, 'b': 4}\n{'a': 2, 'b': 4}",
    "imbalanced-learn": "True\nTrue",
    "lifelines": "25.0\n(1, 11)",
    "shap": "(60, 3) 0",
    "imageio-ffmpeg": "5",
    "requests": "https://example.org/?a=%C3%BC\nno network",
    "sqlalchemy": "2",
    "pydantic": '{"number":3,"when":"2026-01-02T03:04:05Z"}\n1',
    "h5py": "[3, 4, 5]",
    "nibabel": "64.0",
    "pydicom": "A^B 112",
}
_ROWS = [pytest.param(name, marks=() if name in USUAL else pytest.mark.packages) for name in PRINTED]


@pytest.mark.parametrize("name", _ROWS)
def test_package_does_its_work_in_the_guest(allowed: Path, tmp_path: Path, name: str) -> None:
    bundle = make_bundle(_FOLDER / "locks" / f"{name}.txt", tmp_path / "packages.bundle").path

    source = tmp_path / "train.py"  # a program with the name of its package would import itself
    source.write_text((_FOLDER / "programs" / f"{name}.py").read_text() + "\nopen('results/done', 'w').close()\n")

    report = program.run(allowed, source, bundle=bundle)

    bundle.unlink()
    # Nothing on stderr either: a warning of a missing program or library is one of an incomplete guest.
    assert (report.output.decode().strip(), report.outcome) == (PRINTED[name], "OK")


BROUGHT = {
    "01-guest-without-pydoc": ("joblib", "pydoc", "xmlrpc.server", "ssl"),
    "03-long-wheel-name": ("requests", "charset_normalizer"),
}


@pytest.mark.skipif(not INPUTS.is_dir(), reason="needs the shared inputs beside the checkout")
@pytest.mark.parametrize("folder", list(BROUGHT))
def test_requirements_that_people_brought_are_imported(allowed: Path, tmp_path: Path, folder: str) -> None:
    bundle = make_bundle(INPUTS / folder / "requirements.txt", tmp_path / "packages.bundle")
    source = INPUTS / folder / "train.py"
    if not source.exists():
        source = tmp_path / "train.py"
        lines = [f"import {name}; print('ok   ', '{name}')" for name in BROUGHT[folder]]
        source.write_text("\n".join([*lines, "open('results/done', 'w').close()", ""]))
        assert max(len(wheel.path.name) for wheel in bundle.wheels) > 100

    report = program.run(allowed, source, bundle=bundle.path)

    assert report.ok, report.output.decode()
    said = {line.split()[1] for line in report.output.decode().splitlines() if line.startswith("ok ")}
    assert said >= set(BROUGHT[folder])


def test_every_row_has_a_lock_and_a_program() -> None:
    locks = {path.stem for path in (_FOLDER / "locks").iterdir()}
    programs = {path.stem for path in (_FOLDER / "programs").iterdir()}

    assert locks == programs == {*PRINTED, "machine"}
