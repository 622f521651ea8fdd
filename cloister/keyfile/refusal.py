"""Files without a usable key: what each kind is, and the remedy."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cloister.errors import InputError
from cloister.protocol import signingkey

MAKE = "Make a key: `keys`, or ssh-keygen -t ed25519 -f NAME."
TYPES = f"Supported are {signingkey.SUPPORTED}. {MAKE}"


@dataclass(frozen=True)
class KeySource:
    """Where a key is read. ``what`` names it in errors, ``file`` is the file as a shell reads it."""

    what: str
    file: str = "FILE"

    @classmethod
    def of(cls, path: Path) -> Self:
        """A file."""
        return cls(str(path), shlex.quote(str(path)))

    def empty(self) -> InputError:
        """Nothing, or white space."""
        return InputError(f"{self.what} is empty.", hint=MAKE)

    def unknown(self) -> InputError:
        """Something else."""
        return InputError(
            f"{self.what} holds no key in a known form.",
            hint="Private keys may be PEM, DER or OpenSSH's form, public keys also OpenSSH's lines and certificates. "
            f"{MAKE}",
        )

    def unsupported_label(self, label: str) -> InputError:
        """PEM with another label."""
        return InputError(f"{self.what} is PEM of the kind {label}, which is not supported.", hint=MAKE)

    def incomplete(self) -> InputError:
        """PEM without its END line."""
        return InputError(
            f"{self.what} is PEM without its END line: it is incomplete.",
            hint="Copy the whole file again, with the lines BEGIN and END.",
        )

    def damaged(self) -> InputError:
        """A label or magic of a key, and something else inside."""
        return InputError(f"{self.what} is damaged: its content is not a key.", hint="Copy it again from its origin.")

    def damaged_line(self) -> InputError:
        """A line of OpenSSH that is not whole."""
        return InputError(f"{self.what} is a damaged OpenSSH public key.", hint="Copy it again; it is one line.")

    def mislabelled(self, label: str, form: str) -> InputError:
        """PEM whose label and content differ."""
        return InputError(
            f"{self.what} is labelled {label}, but its content is {form}.",
            hint=f"In the first and last line write {form}: sed -i 's/{label}/{form}/' {self.file}",
        )

    def several(self, count: int) -> InputError:
        """More than one key."""
        return InputError(f"{self.what} holds {count} keys, expected one.", hint="Keep one key in the file.")

    def several_certificates(self, count: int) -> InputError:
        """A chain."""
        return InputError(
            f"{self.what} holds {count} certificates, expected one.",
            hint=f"Keep the party's own, the first of a chain: openssl x509 -in {self.file} -out NAME.crt",
        )

    def line_options(self) -> InputError:
        """A line of authorized_keys or known_hosts."""
        return InputError(
            f"{self.what} has something before the type of the key, as authorized_keys and known_hosts have.",
            hint="Remove it: the line must start with the type, for example ssh-ed25519.",
        )

    def unsupported(self, kind: str) -> InputError:
        """A key of another type or size."""
        return InputError(f"{self.what} is an unsupported {kind}.", hint=TYPES)

    def dsa(self) -> InputError:
        """DSA in any form."""
        return InputError(f"{self.what} is an unsupported DSA key.", hint=TYPES)

    def unreadable(self) -> InputError:
        """A key that the library rejects: a type that it does not know, or a damaged one."""
        return InputError(f"{self.what} holds a key that is damaged or of an unsupported type.", hint=TYPES)

    def security_key(self) -> InputError:
        """A key in hardware, for OpenSSH (sk-ssh-ed25519, sk-ecdsa-sha2-nistp256)."""
        return InputError(
            f"{self.what} is a key of a security key (sk-...), which signs for SSH only.",
            hint=MAKE,
        )

    def a_private_key(self) -> InputError:
        """A private key instead of a public one."""
        return InputError(
            f"{self.what} is a private key, expected a public key. Never give it away.",
            hint=f"Name the .pub file beside it, or make it: ssh-keygen -y -f {self.file} > NAME.pub, or "
            f"openssl pkey -in {self.file} -pubout -out NAME.pub",
        )

    def a_public_key(self) -> InputError:
        """A public key instead of a private one."""
        return InputError(
            f"{self.what} is a public key, expected a private key.",
            hint="Name the private key: NAME beside NAME.pub, or NAME.pem. Keys in an ssh-agent are not used.",
        )

    def a_certificate(self) -> InputError:
        """A certificate instead of a private key."""
        return InputError(
            f"{self.what} is a certificate, expected a private key.", hint="Name the private key that belongs to it."
        )

    def other_pair(self) -> InputError:
        """A private key beside the public key of another."""
        return InputError(
            f"{self.what} holds a public key that does not belong to its private key.",
            hint="Copy it again from its origin.",
        )

    def cipher(self, name: str) -> InputError:
        """OpenSSH's private key under a cipher that the library lacks."""
        return InputError(
            f"{self.what} is encrypted with {name}, which is not supported.",
            hint=f"Encrypt it with another cipher: ssh-keygen -p -Z aes256-ctr -f {self.file}",
        )

    def derivation(self, found: str, most: str, *, is_openssh: bool) -> InputError:
        """A key whose file asks for more work for its passphrase than the limit."""
        again = "ssh-keygen -p -a 24 -f" if is_openssh else "openssl pkcs8 -topk8 -out NAME.pem -in"
        message = f"{self.what} is encrypted with {found}; the limit is {most}."
        return InputError(message, hint=f"If it is not damaged, encrypt it again: {again} {self.file}")

    def no_passphrase(self) -> InputError:
        """An encrypted key where a program passes no passphrase."""
        return InputError(f"{self.what} is encrypted with a passphrase, and none was given.", hint="Pass a passphrase.")

    def wrong_passphrase(self) -> InputError:
        """An encrypted key that does not open."""
        return InputError(
            f"{self.what} does not open with this passphrase.",
            hint="Type it again, or correct the file that CLOISTER_KEY_PASSPHRASE_FILE names. To try it: "
            f"ssh-keygen -y -f {self.file}, or openssl pkey -noout -in {self.file}",
        )

    def putty(self) -> InputError:
        """PuTTY's own form."""
        return InputError(
            f"{self.what} is a PuTTY key (.ppk), which is not supported.",
            hint=f"Run: puttygen {self.file} -O private-openssh-new -o NAME; for the public key: "
            f"puttygen {self.file} -O public-openssh -o NAME.pub",
        )

    def ssh2_public(self) -> InputError:
        """RFC 4716."""
        return InputError(
            f"{self.what} is a public key in the form of RFC 4716, which is not supported.",
            hint=f"Run: ssh-keygen -i -f {self.file} > NAME.pub, and name the new file.",
        )

    def ssh2_private(self) -> InputError:
        """The private key of ssh.com."""
        return InputError(
            f"{self.what} is a private key of ssh.com's SSH, which is not supported.",
            hint=f"Run: puttygen {self.file} -O private-openssh-new -o NAME, and name the new file.",
        )

    def ssh1(self) -> InputError:
        """SSH version 1."""
        return InputError(f"{self.what} is a key of SSH version 1, which is not supported.", hint=MAKE)

    def pgp(self) -> InputError:
        """OpenPGP, armored or not."""
        return InputError(f"{self.what} is a PGP key, which is not supported.", hint=MAKE)

    def jwk(self) -> InputError:
        """JSON Web Key."""
        return InputError(
            f"{self.what} is a JSON Web Key (JWK), which is not supported.",
            hint=f"Write it as PEM with the tool that made it. {MAKE}",
        )

    def pkcs12(self) -> InputError:
        """PKCS #12."""
        return InputError(
            f"{self.what} is a PKCS #12 file (.p12, .pfx), which is not supported.",
            hint=f"For the private key: openssl pkcs12 -in {self.file} -nocerts -out NAME.pem; for the public key: "
            f"openssl pkcs12 -in {self.file} -clcerts -nokeys -out NAME.crt",
        )

    def java(self) -> InputError:
        """JKS, JCEKS."""
        return InputError(
            f"{self.what} is a Java key store, which is not supported.",
            hint=f"Run: keytool -importkeystore -srckeystore {self.file} -destkeystore NAME.p12 -deststoretype pkcs12, "
            "then: openssl pkcs12 -in NAME.p12 -nocerts -out NAME.pem",
        )

    def pkcs7(self) -> InputError:
        """PKCS #7."""
        return InputError(
            f"{self.what} holds certificates in PKCS #7 (.p7b), which is not supported.",
            hint=f"Run: openssl pkcs7 -in {self.file} -print_certs -out NAME.crt (with -inform DER for a binary file), "
            "and keep the party's own certificate.",
        )

    def a_request(self) -> InputError:
        """A certificate request."""
        return InputError(
            f"{self.what} is a certificate request, not a key.",
            hint=f"For its public key, run: openssl req -in {self.file} -pubkey -noout -out NAME.pub",
        )

    def trusted_certificate(self) -> InputError:
        """OpenSSL's certificate with its own additions."""
        return InputError(
            f"{self.what} is a certificate in OpenSSL's own form, which is not supported.",
            hint=f"Run: openssl x509 -in {self.file} -out NAME.crt, and name the new file.",
        )

    def revocations(self) -> InputError:
        """A certificate revocation list."""
        return InputError(f"{self.what} is a certificate revocation list, not a key.", hint=MAKE)

    def parameters(self) -> InputError:
        """Parameters without a key."""
        return InputError(f"{self.what} holds parameters, and no key.", hint=MAKE)

    def tpm(self) -> InputError:
        """A key wrapped by a TPM."""
        return InputError(f"{self.what} is a key that only its TPM can use.", hint=MAKE)

    def cosign(self) -> InputError:
        """A private key of cosign."""
        return InputError(f"{self.what} is a cosign key, which is not supported.", hint=MAKE)

    def age(self) -> InputError:
        """A key of age."""
        return InputError(f"{self.what} is an age key, which encrypts and does not sign.", hint=MAKE)

    def minisign(self) -> InputError:
        """A key of minisign or signify."""
        return InputError(f"{self.what} is a minisign or signify key, which is not supported.", hint=MAKE)

    def a_fingerprint(self) -> InputError:
        """Return the error for a fingerprint, which one compares and does not name."""
        return InputError(
            f"{self.what} is a fingerprint, not a key.", hint="Ask for the file of the public key, for example lab.pub."
        )


Refusal = Callable[[KeySource], InputError]

LABELS: dict[str, Refusal] = {
    "DSA PRIVATE KEY": KeySource.dsa,
    "CERTIFICATE REQUEST": KeySource.a_request,
    "NEW CERTIFICATE REQUEST": KeySource.a_request,
    "TRUSTED CERTIFICATE": KeySource.trusted_certificate,
    "X509 CRL": KeySource.revocations,
    "PKCS7": KeySource.pkcs7,
    "CMS": KeySource.pkcs7,
    "PKCS12": KeySource.pkcs12,
    "PGP PRIVATE KEY BLOCK": KeySource.pgp,
    "PGP PUBLIC KEY BLOCK": KeySource.pgp,
    "SSH2 PUBLIC KEY": KeySource.ssh2_public,
    "SSH2 ENCRYPTED PRIVATE KEY": KeySource.ssh2_private,
    "EC PARAMETERS": KeySource.parameters,
    "DH PARAMETERS": KeySource.parameters,
    "DSA PARAMETERS": KeySource.parameters,
    "TSS2 PRIVATE KEY": KeySource.tpm,
    "ENCRYPTED SIGSTORE PRIVATE KEY": KeySource.cosign,
    "ENCRYPTED COSIGN PRIVATE KEY": KeySource.cosign,
}
"""PEM labels, also of structures in DER."""

PREFIXES: dict[bytes, Refusal] = {
    b"PuTTY-User-Key-File-": KeySource.putty,
    b"---- BEGIN SSH2 PUBLIC KEY": KeySource.ssh2_public,
    b"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY": KeySource.ssh2_private,
    b"SSH PRIVATE KEY FILE FORMAT 1.1": KeySource.ssh1,
    b"\xfe\xed\xfe\xed": KeySource.java,
    b"\xce\xce\xce\xce": KeySource.java,
    b"AGE-SECRET-KEY-": KeySource.age,
    b"age1": KeySource.age,
    b"age-encryption.org": KeySource.age,
    b"untrusted comment:": KeySource.minisign,
    b"SHA256:": KeySource.a_fingerprint,
    b"MD5:": KeySource.a_fingerprint,
}
"""First bytes."""
