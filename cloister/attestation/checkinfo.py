"""The text of a check in a verdict: its subject, and what to do after a failure."""

from dataclasses import dataclass

ASK_AGAIN = "Open a new session; if it fails again, do not use this machine."
REBUILD = "Rebuild the image in a checkout (invoke image.verify) and write the policy from the manifest that you trust."


@dataclass(frozen=True)
class CheckInfo:
    """``subject`` begins the sentence about a check, ``advice`` ends it after a failure."""

    subject: str
    advice: str
