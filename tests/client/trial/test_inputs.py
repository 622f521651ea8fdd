"""Programs that people brought, in a trial."""

import dataclasses
import re
from pathlib import Path

import pytest

from cloister.client.trial import program
from tests.guest_tree import SMALL
from tests.shared_files import INPUTS

pytestmark = pytest.mark.skipif(not INPUTS.is_dir(), reason="needs the shared inputs beside the checkout")


def test_result_may_have_a_time_in_its_name(allowed: Path) -> None:
    report = program.run(allowed, INPUTS / "09-colon-in-a-result" / "train.py", limits=SMALL)
    (result,) = report.results
    assert report.ok, report.output.decode()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.csv", result.name)


def test_shared_memory_and_the_own_host_name_work(allowed: Path) -> None:
    limits = dataclasses.replace(SMALL, memory=512 << 20)
    report = program.run(allowed, INPUTS / "14-shared-memory" / "train.py", limits=limits)
    assert (report.outcome, report.output.decode()) == ("OK", "status of the child: 0\n127.0.0.1\n")
    assert report.memory > 100 << 20
