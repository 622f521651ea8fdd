"""The pages of the Python API say what the source says."""

import importlib

import pytest

from tools import api_pages
from tools.stubs import ROOT


@pytest.mark.parametrize("name", api_pages.PACKAGES)
def test_committed_page_equals_the_generated_one(name: str) -> None:
    committed = (ROOT / "docs" / "api" / f"{name}.md").read_text(encoding="utf-8")

    assert committed == api_pages.page(api_pages.PACKAGES[name]), "Run `python -m tools.api_pages`."


def test_page_has_signature_docstring_fields_and_members() -> None:
    page = api_pages.page("cloister.attestation")

    assert "def verify(\n    evidence: Evidence,\n    policy: Policy,\n    *,\n    purpose: Purpose," in page
    assert "class Verdict:\n    platform: str\n" in page
    assert "- `checks`: every check of the platform, in order." in page
    assert "### Verdict.require_accepted" in page


@pytest.mark.parametrize("package", api_pages.PACKAGES.values())
def test_every_public_name_has_a_docstring(package: str) -> None:
    names = getattr(importlib.import_module(package), "__all__", ())
    entries = api_pages.page(package).split("\n## ")[1:]

    assert [entry.split("\n")[0] for entry in entries] == list(names)
    for entry in entries:
        prose = [part for part in entry.split("\n\n")[2:] if not part.startswith(("```", "###"))]
        assert prose, entry


def test_stub_of_the_attestation_package_has_the_same_names() -> None:
    stub = (ROOT / "cloister" / "attestation" / "__init__.pyi").read_text(encoding="utf-8")
    package = importlib.import_module("cloister.attestation")

    assert sorted(line.strip(' ,"') for line in stub.split("__all__ = [\n")[1].splitlines()[:-1]) == package.__all__
    for name, module in package._MODULE_OF.items():
        assert f"{name} as {name}" in stub
        assert getattr(package, name) is getattr(importlib.import_module(f"cloister.attestation.{module}"), name)
