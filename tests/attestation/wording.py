"""Requirements on the text of every check in every verdict."""

from cloister.attestation.result.verdict import CheckOutcome, Verdict

_GOOD = ("valid", "found")
_EMPTY = ("", "None", "none of")


def require_words(verdict: Verdict) -> None:
    """A passed or failed check states what was found and does not contradict itself; any other states its reason."""
    for check in verdict.checks:
        said = (check.name, check.outcome, check.expected, check.found)
        if check.outcome is CheckOutcome.NOT_APPLICABLE:
            assert check.reason, check.name
            continue
        assert check.expected not in _EMPTY, said
        assert check.found not in _EMPTY, said
        assert "None" not in check.found, said
        if check.outcome is CheckOutcome.PASSED:
            assert check.found != "not valid", said
        else:
            assert check.found not in _GOOD, said
            assert check.found != check.expected, said
