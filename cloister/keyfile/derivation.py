"""The work of deriving a key from a passphrase. The key's file decides how much, so it is bounded before it begins.

Sources: RFC 8018, appendix A (PBES1, PBES2, PBKDF2); RFC 7914, section 7 (scrypt); OpenSSH, PROTOCOL.key (bcrypt);
openssl-pkcs8(1), ssh-keygen(1).
"""

from dataclasses import dataclass

from cloister.keyfile import der, openssh

PBES2 = "1.2.840.113549.1.5.13"
PBKDF2 = "1.2.840.113549.1.5.12"
SCRYPT = "1.3.6.1.4.1.11591.4.11"

MAX_ITERATIONS = 10_000_000
"""Of a hash: some seconds. ``openssl pkcs8`` takes 2,048 unless ``-iter`` is given; guides advise up to 1,300,000."""

MAX_MEMORY = 2**30
"""Bytes for scrypt (128 * N * r). ``openssl pkcs8 -scrypt`` takes N = 16,384, r = 8 and p = 1: 16 MiB."""

MAX_BLOCKS = 2**24
"""N * r * p of scrypt, 128 times that of ``openssl pkcs8 -scrypt``: some seconds."""

MAX_ROUNDS = 1024
"""Of bcrypt, 10 to 30 ms each. ``ssh-keygen`` takes 16 or 24 unless ``-a`` is given; guides recommend up to 500."""


@dataclass(frozen=True)
class Excess:
    """Too much work: what the file asks for, and the limit."""

    found: str
    most: str


def of_pkcs8(data: bytes) -> Excess | None:
    """The excess of an EncryptedPrivateKeyInfo; None if the work is bounded. Raises NotDer."""
    scheme, parameters = _two(der.whole(data).children()[0])
    if der.oid(scheme.content) == PBES2:
        derivation, _ = _two(parameters)
        function, parameters = _two(derivation)
        kind = der.oid(function.content)
    else:
        kind = ""  # PBES1 and PKCS #12, which have salt and iterations
    numbers = [one.number for one in parameters.children() if one.tag == der.INTEGER] if _is_list(parameters) else []
    if not numbers:
        return None
    if kind == SCRYPT:
        return _of_scrypt(numbers)
    if numbers[0] > MAX_ITERATIONS:
        return Excess(f"{numbers[0]} iterations of {'PBKDF2' if kind else 'a hash'}", f"{MAX_ITERATIONS}")
    return None


def of_openssh(data: bytes) -> Excess | None:
    """The excess of OpenSSH's encrypted private key; None if the work is bounded. Raises ValueError."""
    rounds = openssh.rounds(data)
    return Excess(f"{rounds} rounds of bcrypt", f"{MAX_ROUNDS}") if rounds > MAX_ROUNDS else None


def _of_scrypt(numbers: list[int]) -> Excess | None:
    cost, size, parallel = (*numbers, 1, 1)[:3]
    found = f"scrypt with N = {cost}, r = {size} and p = {parallel}"
    if 128 * cost * size > MAX_MEMORY:
        return Excess(found, f"{MAX_MEMORY} bytes of memory (128 * N * r)")
    if cost * size * parallel > MAX_BLOCKS:
        return Excess(found, f"N * r * p = {MAX_BLOCKS}")
    return None


def _is_list(element: der.Element) -> bool:
    return element.tag == der.SEQUENCE


def _two(element: der.Element) -> tuple[der.Element, der.Element]:
    found = element.children()
    if len(found) != 2:
        raise der.NotDer
    return found[0], found[1]
