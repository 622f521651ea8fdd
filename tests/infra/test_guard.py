"""What may never be deployed."""

from infra import guard
from infra.provider.names import AUTHORITY, CVM

CONFIGURATION = '{"cvm":"trainer","owners":["' + "ab" * 32 + '"],"version":1,"workspace":"lab"}'
GOOD = {"imageDigest": "00" * 32, "bootConfiguration": CONFIGURATION}


def test_a_workspace_of_authority_and_cvms_breaks_no_rule():
    assert guard.violations(CVM, GOOD) == []
    assert guard.violations(AUTHORITY, {"workspace": "lab"}) == []
    assert guard.violations("cloister:local:Workspace", {}) == []


def test_a_resource_that_nobody_thought_about_is_refused():
    found = guard.violations("docker:index:Container", {"image": "busybox"})
    assert found == ["a local workspace has no docker:index:Container."]


def test_a_cvm_without_owners_is_refused():
    configuration = CONFIGURATION.replace('"' + "ab" * 32 + '"', "")
    assert len(guard.violations(CVM, GOOD | {"bootConfiguration": configuration})) == 1


def test_a_cvm_whose_image_is_only_a_path_is_refused():
    found = guard.violations(CVM, {"image": "base", "bootConfiguration": CONFIGURATION})
    assert found == ["it names its image without a digest."]


def test_a_cvm_that_one_can_log_in_to_is_refused():
    found = guard.violations(CVM, GOOD | {"adminPassword": "secret", "sshKey": "ssh-ed25519"})
    assert found == ["it has adminPassword, sshKey: nobody logs in to a CVM."]
