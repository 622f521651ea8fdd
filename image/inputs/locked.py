"""The lock that a recipe is built from: it must be for what the recipe asks for now."""

import sys

from image.inputs import chain, recipe
from image.inputs.lockfile import Lock, LockError, LockPlace, load, override, override_folder

DIFFERS = "Images built from it have other measurements than images built from that."


def find(words: str) -> tuple[Lock, LockPlace]:
    """The lock of a recipe, or of programs (``tools`` and ``browser``), and its place; or the lock that overrides it.

    Raises LockError if the recipe has changed since the lock was written.
    """
    request, place = recipe.load_request(words)
    lock = load(place)
    if request.digest() != lock.request:
        option = f"--recipe {words}" if chain.is_path(words) else f"--flavor {words}"
        raise LockError(
            f"The lock of {words} does not match its recipe.",
            hint=f"Write a new lock with `invoke image.lock {option}`.",
        )
    return lock, place


def note_override(place: LockPlace) -> None:
    """Say so if the lock at ``place`` is overridden."""
    if override(place) is not None:
        note(f"The lock {override_folder()}/{place.name}.json overrides {place.spoken}.", DIFFERS)


def note(*lines: str) -> None:
    """Print notes on standard error."""
    print("".join(f"NOTE: {line}\n" for line in lines), end="", file=sys.stderr, flush=True)
