"""What a verdict tells of a check besides its outcome."""

from dataclasses import dataclass

ASK_AGAIN = "Open a new session; if it fails again, do not use this machine."
REBUILD = "Rebuild the image in a checkout (invoke image.verify) and write the policy from the manifest that you trust."


@dataclass(frozen=True)
class CheckInfo:
    """``subject`` begins the sentence about a failure, ``advice`` ends it."""

    subject: str
    advice: str
