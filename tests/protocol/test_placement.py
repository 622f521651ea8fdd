"""Where the files of an algorithm may lie."""

import importlib.machinery

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloister.protocol import placement

PATHS = st.lists(st.lists(st.sampled_from("ab"), min_size=1, max_size=3).map("/".join), max_size=6)


@pytest.mark.parametrize(
    ("places", "problem"),
    [
        (["x"], None),
        (["x/y", "x/z", "y"], None),
        ([".cache/x", "datasets.csv", "results2/x", "train.pyc"], None),
        (["", "x"], (0, "is empty")),
        (["x", "datasets"], (1, "is the path of the folder /work/datasets")),
        (["x", "results/a/b"], (1, "lies below the folder /work/results")),
        (["train.py"], (0, "is the path of the algorithm")),
        (["train.py/x"], (0, "lies below the algorithm")),
        (["x/y", "x/y"], (1, "is the path of another file, x/y")),
        (["x/y/z", "x"], (1, "contains another file, x/y/z")),
        (["x", "x/y/z"], (1, "lies below another file, x")),
    ],
)
def test_no_place_equals_contains_or_lies_below_another(places: list[str], problem: tuple[int, str] | None) -> None:
    found = placement.problem("train.py", places)

    assert (found and (found[0], found[1][: len(problem[1])] if problem else "")) == problem


@given(PATHS)
def test_places_without_a_problem_can_be_made_on_a_disk(places: list[str]) -> None:
    whole = [*places, "train.py"]
    clash = any(
        one == other or other.startswith(f"{one}/")
        for index, one in enumerate(whole)
        for position, other in enumerate(whole)
        if index != position
    )

    assert (placement.problem("train.py", places) is not None) == clash


SUFFIXES = [*importlib.machinery.all_suffixes(), ".abi3.so", ".cpython-313-x86_64-linux-gnu.so"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_dataset_makes_a_package_of_the_folder_of_datasets(suffix: str) -> None:
    assert placement.dataset_problem(f"__init__{suffix}") is not None


@pytest.mark.parametrize("file", ["init.py", "h1.csv", "x__init__.py", "__init__x.py", "__main__.py", ".csv"])
def test_other_names_of_datasets_are_taken(file: str) -> None:
    assert placement.dataset_problem(file) is None
