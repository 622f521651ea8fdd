"""Counts the uses of a standing rule: each manifest on each start of a machine once, before anything is sent."""

import hashlib
from pathlib import Path

from cloister.client.files import state
from cloister.client.rules.rule import StandingRule
from cloister.errors import InputError
from cloister.protocol import canonical

_LIMIT = 16 * 1024 * 1024


def count_use(rule: StandingRule, manifest_digest: bytes, event_log_key: bytes) -> int:
    """Count the use of a rule for a manifest on a machine, unless it was counted before; returns how many are left.

    The event-log key (SPKI) is new at every start of a machine: one that is reset computes another result of the same
    manifest.

    The count belongs to what the rule says, so a copy of the file shares it. Raises InputError when none is left, or
    the count cannot be read or written: then nothing may be sent.
    """
    at = state.folder("rules") / f"{rule.digest().hex()}.json"
    with state.locked(at, "Another command is counting the uses of the rule"):
        used = _read(at)
        digest = hashlib.sha256(manifest_digest + hashlib.sha256(event_log_key).digest()).hexdigest()
        if digest not in used:
            if len(used) >= rule.uses:
                raise InputError(
                    f"{rule.path} is used up: it permits {rule.uses}, and as many computations had your consent.",
                    hint="Read the manifest with `review`. If you agree, use `upload-data`, or write a new rule.",
                )
            used.append(digest)
            state.write(at, canonical.encode(used))
        return rule.uses - len(used)


def _read(at: Path) -> list[str]:
    """A digest of each manifest and machine for which the rule was used."""
    return state.read_texts(
        at,
        _LIMIT,
        InputError(
            f"{at} does not say how often the rule was used.",
            hint="The rule permits nothing any more: write a new rule.",
        ),
    )
