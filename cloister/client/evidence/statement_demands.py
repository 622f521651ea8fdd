"""The statements of builders and of a publisher that a new policy demands, by the files of their public keys."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cloister.attestation.errors import PolicyError
from cloister.attestation.first_policy.from_manifest import AdoptedValue
from cloister.attestation.policy.policy import Policy
from cloister.attestation.policy.statements import BuildersPolicy, PublisherPolicy
from cloister.keyfile.public import PublicKey, read_public_key
from cloister.protocol.canonical import FormatError
from cloister.userfile import FilePath

_CORRECT = (
    "Correct what you demand. Builders (--builder) need different names and keys, and --builders-required at most "
    "their number; a name has lower-case letters, digits and '-'."
)
_CONFIRM = "{name}: compare the fingerprint, not by the way that the file came"


@dataclass(frozen=True)
class StatementDemands:
    """Who must have stated something about the image of a machine.

    builders: the public key file of each builder, by name; empty demands no builder.
    required: how many of the builders; None for all of them.
    publisher: name and public key file of the publisher that must list the image as current; None for no one.
    maximum_age_days: how old the Debian index of the image's lock may be, by that publisher; None for any age.
    """

    builders: Mapping[str, FilePath] = field(default_factory=dict)
    required: int | None = None
    publisher: tuple[str, FilePath] | None = None
    maximum_age_days: int | None = None

    def __post_init__(self) -> None:
        """Raises PolicyError for a number without what it counts."""
        if self.required is not None and not self.builders:
            raise PolicyError("A number of builders needs their keys.", hint="Name each: --builder NAME=FILE.")
        if self.maximum_age_days is not None and self.publisher is None:
            raise PolicyError(
                "The age of an image is what its publisher states.", hint="Name the publisher: --publisher NAME=FILE."
            )

    def add_to(self, policy: Policy) -> tuple[Policy, tuple[AdoptedValue, ...]]:
        """The policy with these demands, and the values to confirm.

        Raises InputError for a file that has no public key, and PolicyError for what no policy may demand.
        """
        taken: list[AdoptedValue] = []

        def read(member: str, name: str, file: FilePath) -> bytes:
            key: PublicKey = read_public_key(file)
            taken.append(AdoptedValue(member, f"{name}, {key.kind}", key.id, _CONFIRM.format(name=name)))
            return key.spki

        keys = {name: read(f"builders.keys.{name}", name, file) for name, file in self.builders.items()}
        required = len(keys) if self.required is None else self.required
        if keys:
            yours = "yourself: is this enough for you?"
            taken.append(AdoptedValue("builders.required", f"{required} of {len(keys)}", "", yours))
        publisher = None
        try:
            builders = BuildersPolicy(required, keys) if keys else None
            if self.publisher is not None:
                name, file = self.publisher
                publisher = PublisherPolicy(name, read("publisher.key", name, file), self.maximum_age_days)
            # The names must have the form of the schema, too.
            demanding = Policy.from_value(replace(policy, builders=builders, publisher=publisher).value())
        except (FormatError, PolicyError) as error:
            raise PolicyError(error.message, hint=_CORRECT) from error
        return demanding, tuple(taken)
