"""The software TPM of a local CVM, and the certificate of its attestation key; a real swtpm."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cloister.attestation.tpm import commands, structures
from image.inputs import host_tools
from infra.provider import certificates
from infra.provider.errors import ProviderError
from infra.provider.qemu import vtpm
from tests.software_tpm import software_tpm


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """The folder of a machine with its TPM's state, and the authority's certificate."""
    folder = tmp_path_factory.mktemp("vtpm")
    (folder / "authority").mkdir()
    (folder / "cvm").mkdir()
    authority = certificates.create_authority("lab", folder / "authority")

    def certify(point: bytes) -> bytes:
        return certificates.certify(folder / "authority", authority, point, "lab/trainer")

    vtpm.create(host_tools.ensure(), folder / "cvm", certify)
    return folder, authority


@pytest.fixture
def transport(made: tuple[Path, bytes]) -> Iterator[commands.Transport]:
    """The TPM as a guest finds it after it was switched on."""
    with software_tpm(made[0] / "cvm" / vtpm.STATE) as send:
        yield send


def test_attestation_key_is_stored_as_in_gcp(made: tuple[Path, bytes], transport: commands.Transport):
    template = commands.nv_read(transport, structures.NV_AK_TEMPLATE)
    certificate = x509.load_der_x509_certificate(commands.nv_read(transport, structures.NV_AK_CERTIFICATE))
    _, public = commands.create_primary(transport, commands.ENDORSEMENT, template)
    assert template == structures.AK_TEMPLATE.marshal()
    assert public.attributes == structures.AK_ATTRIBUTES
    assert certificate.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint) == public.point


def test_its_certificate_is_the_authoritys_for_attestation_only(
    made: tuple[Path, bytes], transport: commands.Transport
):
    certificate = x509.load_der_x509_certificate(commands.nv_read(transport, structures.NV_AK_CERTIFICATE))
    certificate.verify_directly_issued_by(x509.load_der_x509_certificate(made[1]))
    extensions = certificate.extensions
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [purpose.dotted_string for purpose in usage] == ["2.23.133.8.3"]
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)


def test_only_the_sha256_bank_is_allocated(transport: commands.Transport):
    assert set(commands.pcr_read(transport, range(16))) == set(range(16))
    sha1 = bytes.fromhex("8001 00000014 0000017e 00000001 0004 03 010000")
    # TPM2_PCR_Read of a bank that is not allocated succeeds and selects nothing.
    assert transport(sha1)[14:].hex() == "00000001" + "0004" + "03" + "000000" + "00000000"


def test_an_authority_certifies_only_with_its_own_key(tmp_path: Path):
    authority = certificates.create_authority("lab", tmp_path)
    certificates.create_authority("lab", tmp_path)
    point = ec.generate_private_key(ec.SECP256R1()).public_key()
    encoded = point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    with pytest.raises(ProviderError) as caught:
        certificates.certify(tmp_path, authority, encoded, "lab/trainer")
    assert (
        caught.value.message == f"{tmp_path / 'key.pem'} does not match the certificate of the workspace's authority."
    )


def test_a_tpm_that_does_not_start_says_why(made: tuple[Path, bytes]):
    folder = made[0] / "cvm"
    first = vtpm.start_for_qemu(host_tools.ensure(), folder)
    try:
        with pytest.raises(ProviderError) as caught:
            vtpm.start_for_qemu(host_tools.ensure(), folder)
        assert caught.value.message.startswith("The software TPM did not start: ")
    finally:
        first.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            first.wait(10)
