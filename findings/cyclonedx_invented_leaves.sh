#!/bin/sh
# cyclonedx-python-lib 11.12.0 turns "dependencies unknown" into "has no dependencies": it reads a bill of materials
# without a dependency graph and, when it writes that, adds an empty entry for each component. A reader of
# the copy is told that every library stands alone.
#
# Seen on 2026-11-30: read: 0 entries; written: [{"ref": "app"}, {"ref": "lib"}]
# In CycloneDX an empty entry declares that a component has no dependencies, and a component without an entry is one of
# which nothing is known: https://cyclonedx.org/docs/1.6/json/#dependencies
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet cyclonedx-python-lib==11.12.0

found=$("$work/venv/bin/python" - <<'PYTHON'
import json

from cyclonedx.model.bom import Bom
from cyclonedx.output.json import JsonV1Dot6

bom = Bom.from_json(
    {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "components": [
            {"type": "application", "name": "app", "version": "1", "bom-ref": "app"},
            {"type": "library", "name": "lib", "version": "1", "bom-ref": "lib"},
        ],
    }
)
read = len(bom.dependencies)
written = json.loads(JsonV1Dot6(bom).output_as_string()).get("dependencies")
print(f"read: {read} entries; written: {json.dumps(written)}")
PYTHON
)
echo "$found"
test "$found" = 'read: 0 entries; written: [{"ref": "app"}, {"ref": "lib"}]' ||
    { echo "The copy now differs: $found" >&2; exit 1; }
