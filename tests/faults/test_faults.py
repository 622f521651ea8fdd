"""Faults at seeded points of uploads, runs and results: no promise breaks; honest parties finish or are told why."""

from pathlib import Path

import pytest

from tests.faults.scenario import Scenario

SEEDS = 50
FAULTS = 10
"""Faults of one seed: 500 in all. `invoke test.faults` runs them."""


@pytest.mark.parametrize(
    "seed",
    [pytest.param(seed, id=f"seed-{seed:03}", marks=[pytest.mark.faults] if seed else []) for seed in range(SEEDS)],
)
def test_faults_break_no_promise(tmp_path: Path, seed: int) -> None:
    scenario = Scenario(seed, tmp_path)
    try:
        scenario.run(FAULTS)
    except BaseException:
        print("\n".join(scenario.history))
        print(f"Repeat it: invoke test.faults --match seed-{seed:03}")
        raise
    print("\n".join(scenario.history))
