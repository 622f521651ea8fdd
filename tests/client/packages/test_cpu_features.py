"""Packages that need AVX2 or more are named, unless the bundle has their build for other CPUs."""

import pytest

from cloister.client.packages import cpu_features


@pytest.mark.parametrize(
    ("packages", "named"),
    [
        (["numpy", "scikit-learn", "pyarrow"], []),
        (["numpy", "polars", "polars-runtime-32"], ["polars-runtime-32"]),
        (["polars", "polars-runtime-64"], ["polars-runtime-64"]),
        (["polars", "polars-runtime-32", "polars-runtime-compat"], []),
        (["polars"], ["polars"]),
        (["polars-lts-cpu"], []),
        (["qulacs", "lancedb", "pylance"], ["lancedb", "pylance", "qulacs"]),
        (["intel-extension-for-pytorch", "torch"], ["intel-extension-for-pytorch"]),
    ],
)
def test_only_packages_without_a_build_for_other_cpus_are_named(packages: list[str], named: list[str]) -> None:
    assert [sentence.split()[0] for sentence in cpu_features.warnings(packages)] == named


def test_sentence_says_what_is_needed_and_what_to_do() -> None:
    assert cpu_features.warnings(["polars-runtime-32"]) == (
        "polars-runtime-32 needs a CPU with AVX2 and FMA, which a local machine without KVM has only with `cpu: max`. "
        "Lock polars[rtcompat], which brings a build for other CPUs.",
    )
