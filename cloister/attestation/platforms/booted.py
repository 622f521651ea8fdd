"""The image that a machine booted, whatever identified it: whether it is for debugging."""

from cloister.attestation.policy.images import ImageReference
from cloister.attestation.policy.policy import Policy
from cloister.attestation.result import Recorder


def check_debug(checks: Recorder, image: ImageReference | None, policy: Policy) -> ImageReference | None:
    """Records ``image-debug`` of the image that matched, None when none did. Returns ``image``."""
    if image is None:
        checks.not_applicable("image-debug", "the machine has not booted an image that the policy names")
        return None
    found = f"{image.flavor}, {'for debugging' if image.debug else 'not for debugging'}"
    allowed = policy.allow_debug or not image.debug
    checks.record("image-debug", allowed, "any" if policy.allow_debug else "not for debugging", found)
    return image
