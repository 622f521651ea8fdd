"""docs/verbs.md names every option that is a verb's own, and no option that a verb does not have."""

import json
import re
import subprocess
import sys

from cloister.cli.shell import options
from tools.stubs import ROOT

SHARED = {option.name for option in vars(options).values() if isinstance(option, options.Option)}
PROGRAM = """
import json
from cloister.cli import VERBS
print(json.dumps({
    verb.name.replace("_", "-").rstrip("-"): {
        option.name.replace("_", "-"): option.positional for option in verb.get_arguments()
    }
    for verb in VERBS
}))
"""


def test_page_and_verbs_have_the_same_options() -> None:
    # Invoke takes the help texts out of a task when it reads its options: only a process of its own may do that.
    said = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    found: dict[str, dict[str, bool]] = json.loads(said)
    text = (ROOT / "docs" / "verbs.md").read_text(encoding="utf-8")
    section = text.split("\n## A party's verbs\n")[1].split("\n### ")[0].split("\n## ")[0]
    wrong = []
    seen = set()
    for row in section.splitlines():
        cells = re.split(r"(?<!\\)\|", row)
        verbs = [name for name in re.findall(r"[a-z-]+", cells[1]) if name in found] if len(cells) > 3 else []
        seen |= set(verbs)
        named = set(re.findall(r"--([a-z-]+)", cells[3])) if verbs else set()
        known = {option for verb in verbs for option in found[verb]}
        own = {option for verb in verbs for option, positional in found[verb].items() if not positional} - SHARED
        wrong += [(verbs, "missing", option) for option in own - named]
        wrong += [(verbs, "unknown", option) for option in named - known]
    assert wrong == []
    assert seen == set(found)
