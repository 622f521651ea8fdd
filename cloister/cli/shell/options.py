"""The options that several verbs share: name, default and help of each, once.

A verb lists those that it has, ``@verb(options=(*PARTY, JSON))``, and gets their values as its :class:`Settings`.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Option:
    """An option that is omitted by default. ``flag`` is true for one without a value."""

    name: str
    help: str
    flag: bool = False

    @property
    def default(self) -> bool | None:
        """The value when the option is omitted: false for a flag, else None."""
        return False if self.flag else None

    def described(self, help: str) -> "Option":
        """The same option with another help text."""
        return replace(self, help=help)


KEY = Option("key", "file of your private key (default: $CLOISTER_KEY)")
POLICY = Option("policy", "file of your policy (default: $CLOISTER_POLICY)")
WORKSPACE = Option(
    "workspace",
    "workspace descriptor from the platform team (default: $CLOISTER_WORKSPACE). Without one, set $AGENT_GRPC_URL to "
    "HOST:PORT of the machine",
)
CVM = Option("cvm", "name of the CVM in the workspace descriptor (default: the only one)")
MANIFEST = Option("manifest", "your copy of the manifest, as `manifest` writes it (default: $CLOISTER_MANIFEST)")
IMAGE = Option("image", "manifest of the image that will run it (image.json), or its folder")
EXPLAINS = "manifest of an image that you trust (image.json), to explain a measurement that differs"
"""What the option ``image`` is for where a verdict is made."""
FIRMWARE = Option(
    "firmware",
    "the OVMF or IGVM file that the machine should be launched with: explains a launch digest or MRTD",
)
COLLATERAL = Option(
    "collateral",
    "folder of collateral: the vendors' certificates, revocation lists, TCB info, identities and endorsements, and "
    "statements about images (default: $CLOISTER_COLLATERAL)",
)
FETCH = Option("fetch", "fetch missing collateral from the vendors (default: only if $CLOISTER_FETCH is 1)", flag=True)
JSON = Option("json", "print JSON", flag=True)
YES = Option("yes", "do not ask before everything is wiped; without a terminal there is no question", flag=True)

TARGET = (CVM, WORKSPACE, POLICY)
"""The options that select a CVM, and say what it must be."""

PARTY = (KEY, *TARGET)
"""The options of every verb that needs a bound session."""

VENDORS = (COLLATERAL, FETCH)
"""The options for what evidence does not carry."""
