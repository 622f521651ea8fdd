"""An owner learns before it submits that a manifest does not fit onto the CVM's scratch disk."""

import pytest

from cloister.client.computation.submission import check_scratch
from cloister.errors import InputError
from cloister.protocol.scratch import ScratchNeed
from tests.client.parties import Parties

GIB = 1 << 30


def test_written_data_needs_a_scratch_disk(tmp_path):
    parties = Parties.make(tmp_path)
    check_scratch(parties.manifest(), 0)
    parties.edit("processes: 16", "processes: 16, scratch: 50GiB")
    with pytest.raises(InputError, match=r"50 GiB as limits\.scratch; the CVM has no scratch disk"):
        check_scratch(parties.manifest(), 0)


def test_what_does_not_fit_is_told_with_both_sizes(tmp_path):
    parties = Parties.make(tmp_path)
    parties.edit("processes: 16", "processes: 16, scratch: 50GiB")
    manifest = parties.manifest()
    need = ScratchNeed.of(manifest).total
    check_scratch(manifest, need)
    with pytest.raises(InputError, match=r"needs 51\.59 GiB of the scratch disk, and the CVM's has 50 GiB"):
        check_scratch(manifest, 50 * GIB)
