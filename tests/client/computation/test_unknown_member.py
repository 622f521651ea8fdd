"""An unknown member of a manifest is refused with what its author most likely meant."""

import pytest

from cloister.client.computation.manifest_source import compose_manifest
from cloister.errors import InputError
from tests.client.parties import Parties

# What is written behind which line, and what the hint says.
CASES = {
    "requirements": ("  kind: python", "  requirements: requirements.txt", "algorithm.bundle names its file"),
    "pip": ("  kind: python", "  pip: [numpy]", "algorithm.bundle names its file"),
    "path": ("  kind: python", "  path: x.py", "Write `file`."),
    "arguments": ("  kind: python", "  arguments: []", "Write `args`."),
    "env": ("  kind: python", "  env: {A: b}", "Write `environment`."),
    "a typing error": ("  kind: python", "  enviroment: {A: b}", "Write `environment`."),
    "weights": ("  kind: python", "  weights: w.pth", "Write `files`."),
    "a GPU": ("cpus: 1", ", gpus: 1", "neither a GPU nor a network"),
    "an approval": ("max: 1MiB", ", approvers: [lab]", "Write `approval`."),
    "a limit": ("cpus: 1", ", timeout: 5m", "Write `time`."),
    "a member of another place": ("name: covid19", "memory: 4GiB", "Write it as limits.memory."),
    "a limit of another place": ("name: covid19", "timeout: 4h", "Write it as limits.time."),
    "several places": ("name: covid19", "max: 4MiB", "Write it as logs.max or results.max."),
    "an image": ("name: covid19", "image: base", "policy names it"),
    "nothing known": ("cpus: 1", ", zzz: 1", "Allowed here: cpus, memory, processes, scratch, time."),
}


@pytest.mark.parametrize("case", CASES)
def test_unknown_member_is_refused_with_what_was_meant(tmp_path, case: str) -> None:
    behind, added, said = CASES[case]
    parties = Parties.make(tmp_path)
    line = parties.edit(behind, behind + added) if added[0] == "," else parties.edit(behind, f"{behind}\n{added}") + 1
    member = added.strip(", ").split(":")[0]
    with pytest.raises(InputError, match=rf":{line}: .* has the member '{member}'") as caught:
        compose_manifest(parties.folder / "manifest.yaml")
    assert said in caught.value.hint
