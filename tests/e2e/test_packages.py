"""What people train with, bundled, unpacked by the launcher and used in the guest's own root.

``tests/packages/locks`` has a lock of each row (its first line says what was asked for; `cloister lock` renews it), and
``tests/packages/programs`` the program. `make test` runs the rows of ``USUAL``, `invoke test.packages` all of them.
"""

from pathlib import Path

import pytest

from cloister.client.packages.bundle import make_bundle
from infra import paths
from tests.e2e.guest_root import GuestRoot

_FOLDER = paths.CHECKOUT / "tests" / "packages"

USUAL = ("scikit-learn", "pandas-pyarrow", "polars")

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
def test_package_does_its_work_in_the_guest(guest_root: GuestRoot, tmp_path: Path, name: str) -> None:
    make_bundle(_FOLDER / "locks" / f"{name}.txt", tmp_path / "bundle.tar")

    done = guest_root.launch((_FOLDER / "programs" / f"{name}.py").read_bytes(), tmp_path)

    (tmp_path / "bundle.tar").unlink()
    # Nothing on stderr either: a warning of a missing program or library is one of an incomplete guest.
    assert (done.stdout.strip(), done.stderr) == (PRINTED[name], "")


def test_every_row_has_a_lock_and_a_program() -> None:
    locks = {path.stem for path in (_FOLDER / "locks").iterdir()}
    programs = {path.stem for path in (_FOLDER / "programs").iterdir()}

    assert locks == programs == {*PRINTED, "machine"}
