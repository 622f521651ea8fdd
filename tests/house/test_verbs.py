"""`invoke --list` is fast because a verb imports what it needs only when it runs."""

import subprocess
import sys

import pytest

from tools.stubs import ROOT

SLOW = {
    *("azure", "cryptography", "fastjsonschema", "google.cloud", "google.protobuf", "grpc", "jinja2", "pulumi"),
    *("pysequoia", "requests", "rich"),
}


@pytest.mark.parametrize("module", ["tasks", "cloister.cli"])
def test_listing_the_verbs_imports_nothing_slow(module: str) -> None:
    program = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True)

    found = set(loaded.stdout.split())
    assert SLOW & found == set()
    # An annotation that is not quoted would import the client's modules, too.
    assert [name for name in found if name.startswith("cloister.client.")] == []
