"""The configuration of a workspace: each file in ``configurations`` holds one and every sentence that it earns."""

from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from cloister.errors import InputError
from infra import key as keys
from infra import workspace
from infra.workspace import Cvm, Member, Workspace

CASES = sorted((Path(__file__).parent / "configurations").glob("*.yaml"))


@pytest.mark.parametrize("path", CASES, ids=[path.stem for path in CASES])
def test_everything_wrong_is_said_at_once(path: Path):
    case = yaml.safe_load(path.read_text())
    try:
        workspace.parse(case["name"], case["value"])
        found = []
    except workspace.ConfigurationError as error:
        found = list(error.problems)
    assert found == case["problems"]


def test_a_configuration_becomes_plain_values():
    case = yaml.safe_load((Path(__file__).parent / "configurations" / "complete.yaml").read_text())
    key = keys.parse(case["value"]["members"][0]["key"])
    roles = ("algorithm-provider", "owner", "result-consumer")
    assert workspace.parse(case["name"], case["value"]) == Workspace(
        name="covid-consortium",
        backend="local",
        image="base",
        members=(Member("lab", key, roles),),
        cvms=(Cvm("trainer", "none", 4, 1536 << 20, 6110),),
        force=False,
    )


def test_the_message_has_one_line_for_each_problem():
    with pytest.raises(workspace.ConfigurationError) as caught:
        workspace.parse("lab", {"backend": "local"})
    assert caught.value.message == (
        "The configuration of workspace 'lab' has problems:\n"
        "  workspace.image: is missing.\n"
        "  workspace.members: is missing.\n"
        "  workspace.cvms: is missing."
    )
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("private", [ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP384R1())])
def test_a_public_key_may_be_pem_or_base64(private: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey):
    public = private.public_key()
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    assert keys.parse(pem) == der
    assert keys.parse("".join(pem.splitlines()[1:-1])) == der


def test_a_private_key_is_refused_and_not_repeated():
    key = ed25519.Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with pytest.raises(InputError) as caught:
        keys.parse(pem)
    assert caught.value.message == "a private key is not a public key in PEM or base64."
