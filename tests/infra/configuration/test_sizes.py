"""Which machine a CVM gets in a cloud."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloister.errors import InputError
from infra.configuration import sizes

GIBIBYTE = 1 << 30


@pytest.mark.parametrize(
    ("backend", "tee", "vcpus", "memory", "name"),
    [
        ("azure", "sev-snp", 2, 4, "Standard_DC2as_v5"),
        ("azure", "sev-snp", 2, 16, "Standard_EC2as_v5"),
        ("azure", "sev-snp", 3, 9, "Standard_DC4as_v5"),
        ("azure", "sev-snp", 17, 1, "Standard_EC20as_v5"),
        ("azure", "sev-snp", 1, 672, "Standard_EC96as_v5"),
        ("azure", "tdx", 2, 8, "Standard_DC2es_v6"),
        ("azure", "tdx", 64, 512, "Standard_EC64es_v6"),
        ("azure", "tdx", 65, 512, "Standard_DC128es_v6"),
        ("gcp", "sev-snp", 2, 2, "n2d-highcpu-2"),
        ("gcp", "sev-snp", 2, 3, "n2d-standard-2"),
        ("gcp", "sev-snp", 2, 9, "n2d-highmem-2"),
        ("gcp", "sev-snp", 224, 896, "n2d-standard-224"),
        ("gcp", "tdx", 2, 4, "c3-standard-4"),
        ("gcp", "tdx", 9, 1, "c3-standard-22"),
    ],
)
def test_smallest_sufficient_machine_type_is_chosen(backend: str, tee: str, vcpus: int, memory: int, name: str):
    assert sizes.choose(backend, tee, vcpus, memory * GIBIBYTE) == name


def test_size_of_no_machine_type_lists_the_machine_types():
    with pytest.raises(InputError) as caught:
        sizes.choose("gcp", "tdx", 4, 800 * GIBIBYTE)
    assert caught.value.message == (
        "no machine type for tdx on gcp has 4 vCPUs and 800GiB; available: c3-standard-4 (4, 16GiB), "
        "c3-standard-8 (8, 32GiB), c3-standard-22 (22, 88GiB), c3-standard-44 (44, 176GiB), "
        "c3-standard-88 (88, 352GiB), c3-standard-176 (176, 704GiB)."
    )


@given(st.sampled_from(sorted(sizes.SIZES)), st.integers(1, 256), st.integers(1 << 20, 1 << 40))
def test_chosen_machine_type_suffices_and_no_smaller_one_does(pair: tuple[str, str], vcpus: int, memory: int):
    table = sizes.SIZES[pair]
    enough = [one for one in table if one.vcpus >= vcpus and one.memory >= memory]
    try:
        name = sizes.choose(*pair, vcpus, memory)
    except InputError:
        assert enough == []
        return
    (chosen,) = [one for one in table if one.name == name]
    assert chosen in enough
    assert all((chosen.vcpus, chosen.memory) <= (one.vcpus, one.memory) for one in enough)


def test_machine_types_of_a_table_differ():
    for table in sizes.SIZES.values():
        assert len({one.name for one in table}) == len({(one.vcpus, one.memory) for one in table}) == len(table)


def test_machine_type_belongs_to_a_series_with_the_tee():
    """Microsoft and Google name them so: DCas, ECas and n2d have AMD's processors, DCes, ECes and c3 Intel's."""
    series = {
        ("azure", "sev-snp"): ("Standard_DC", "Standard_EC"),
        ("azure", "tdx"): ("Standard_DC", "Standard_EC"),
        ("gcp", "sev-snp"): ("n2d-",),
        ("gcp", "tdx"): ("c3-standard-",),
    }
    marks = {("azure", "sev-snp"): "as_v5", ("azure", "tdx"): "es_v6"}
    for pair, table in sizes.SIZES.items():
        assert all(one.name.startswith(series[pair]) and one.name.endswith(marks.get(pair, "")) for one in table)
