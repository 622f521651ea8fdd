"""The first configuration of a workspace."""

import pytest

from cloister.errors import InputError
from infra.configuration import initial
from infra.configuration.validation import ConfigurationError

UUID = "11111111-2222-4333-8444-555555555555"
AZURE = {
    "backend": "azure",
    "image": "base",
    "cvm": "trainer",
    "memory": "16GiB",
    "vcpus": 4,
    "tee": "sev-snp",
    "zone": "1",
    "ingress": "198.51.100.0/24, 203.0.113.7/32",
    "endpoint": "public",
    "registry": "main",
    "subscription": UUID,
    "tenant": UUID,
    "location": "westeurope",
}


def test_a_local_workspace_needs_nothing_said():
    found = initial.settings(
        "lab", {"backend": "local", "image": "base", "cvm": "trainer", "memory": "4GiB", "vcpus": 2}
    )
    assert found == {
        "backend": "local",
        "image": "base",
        "cvms[0].name": "trainer",
        "cvms[0].memory": "4GiB",
        "cvms[0].vcpus": 2,
    }


def test_no_processor_at_all_is_said_to_be_wrong_and_not_left_out():
    with pytest.raises(ConfigurationError) as caught:
        initial.settings("lab", {"image": "base", "cvm": "trainer", "vcpus": 0, "port": 0})
    assert caught.value.problems == ("--vcpus: must be an integer from 1 to 64, not 0.",)


def test_a_workspace_on_azure_has_its_section():
    assert initial.settings("lab", AZURE | {"port": 0, "project": "", "region": ""}) == {
        "backend": "azure",
        "image": "base",
        "azure.subscription": UUID,
        "azure.tenant": UUID,
        "azure.location": "westeurope",
        "azure.registry": "organization/cloister-registry/main",
        "cvms[0].name": "trainer",
        "cvms[0].memory": "16GiB",
        "cvms[0].vcpus": 4,
        "cvms[0].tee": "sev-snp",
        "cvms[0].zone": "1",
        "ingress[0]": "198.51.100.0/24",
        "ingress[1]": "203.0.113.7/32",
        "endpoint": "public",
    }


def test_what_is_missing_is_said_before_a_stack_is_made():
    with pytest.raises(ConfigurationError) as caught:
        initial.settings("lab", {"backend": "gcp", "image": "base", "cvm": "trainer", "project": "my-project"})
    assert caught.value.problems == (
        "--ingress: is missing.",
        "--tee: is missing.",
        "--zone: is missing.",
        "--region: is missing.",
        "--registry: is missing.",
    )


def test_what_is_for_another_backend_is_not_left_out_silently():
    with pytest.raises(ConfigurationError) as caught:
        initial.settings("lab", AZURE | {"project": "my-project"})
    assert caught.value.problems == ("--project: applies to gcp only, and the backend is azure. Omit it.",)
    with pytest.raises(ConfigurationError) as caught:
        initial.settings("lab", {"image": "base", "cvm": "trainer", "registry": "main", "tenant": UUID})
    assert caught.value.problems == (
        "--registry: applies to azure and gcp only, and the backend is local. Omit it.",
        "--tenant: applies to azure only, and the backend is local. Omit it.",
    )


def test_a_backend_alone_is_answered_with_the_options_that_it_needs():
    with pytest.raises(ConfigurationError) as caught:
        initial.settings("lab", {"backend": "azure", "image": "base", "cvm": "trainer", "memory": "4GiB", "vcpus": 2})
    missing = ("ingress", "tee", "subscription", "tenant", "location", "registry")
    assert caught.value.problems == tuple(f"--{option}: is missing." for option in missing)


def test_what_is_wrong_has_the_name_of_its_option():
    wrong = {"vcpus": 5000, "memory": "much", "cvm": "No", "ingress": "here, 10.0.0.0/8", "endpoint": "open"}
    with pytest.raises(ConfigurationError) as caught:
        initial.settings("lab", AZURE | wrong)
    assert {problem.partition(":")[0] for problem in caught.value.problems} == {f"--{option}" for option in wrong}


def test_a_backend_that_is_none_is_all_that_is_said():
    with pytest.raises(InputError) as caught:
        initial.settings("lab", {"backend": "aws", "image": "base", "cvm": "trainer"})
    assert caught.value.message == "Invalid backend 'aws': must be one of local, azure, gcp."
