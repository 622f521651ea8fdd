"""Names that Google Cloud takes: RFC 1035 labels that begin with a letter."""

import hashlib

_AUTOMATIC = 8
_LABEL = 63
_ACCOUNT = 30
_DIGEST = 6


def prefix(*words: str) -> str:
    """What an automatic name begins with: there is room for the hyphen and the 7 characters that the provider adds,
    without which a destroyed key ring, whose name stays taken for ever, could never be declared again.
    """
    return _shortened(words, _LABEL - _AUTOMATIC)


def instance(workspace: str, cvm: str) -> str:
    """A CVM's name in its project: known beforehand, because a person types it (`gcloud compute start-iap-tunnel`)."""
    return _shortened((workspace, cvm), _LABEL)


def account(workspace: str) -> str:
    """The id of a service account: 6 to 30 characters (IAM API, serviceAccounts.create)."""
    return _shortened((workspace,), _ACCOUNT)


def _shortened(words: tuple[str, ...], most: int) -> str:
    text = "-".join(("cloister", *words))
    if len(text) <= most:
        return text
    # Two long names that begin alike stay two names.
    digest = hashlib.sha256("/".join(words).encode()).hexdigest()[:_DIGEST]
    return f"{text[: most - _DIGEST - 1].rstrip('-')}-{digest}"
