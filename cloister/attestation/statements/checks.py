"""The checks of what others state about an image, and what to do when one fails."""

from cloister.attestation.result.checkinfo import CheckInfo, Failure, FailureKind, compare

_NEWEST = Failure(
    FailureKind.OUTDATED,
    "Ask the publisher for its newest statement, not by way of the machine's operator, and put it into the folder of "
    "--collateral.",
)
WITHDRAWN = Failure(
    FailureKind.REVOKED, "The publisher has withdrawn this image: use a machine that runs a current one."
)
UNLISTED = compare(FailureKind.IDENTITY, "the digest of the image", "its publisher")

STATEMENT_CHECKS = {
    "image-builders": CheckInfo(
        "The builders who have made the image",
        compare(
            FailureKind.IDENTITY,
            "the digest of the image",
            "the builders that your policy names",
            first="Ask them for their statements about this image, and put them into the folder of --collateral.",
        ),
    ),
    "image-lifecycle": CheckInfo("What the publisher says of the image", _NEWEST, (WITHDRAWN, UNLISTED)),
    "image-age": CheckInfo(
        "The age of the image's packages",
        Failure(FailureKind.OUTDATED, "Use a machine whose image was locked from a newer index of Debian."),
    ),
}
"""The checks, which every platform has."""
