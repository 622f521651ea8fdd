"""Names that Google Cloud accepts: RFC 1035 labels that begin with a letter."""

import hashlib

_SUFFIX = 8
_LABEL_LENGTH = 63
_ACCOUNT_LENGTH = 30
_DIGEST_LENGTH = 6


def prefix(*words: str) -> str:
    """The prefix of a generated name, with space for the hyphen and the 7 characters that the provider appends.

    Names are generated because the name of a destroyed key ring can never be used again.
    """
    return _shortened(words, _LABEL_LENGTH - _SUFFIX)


def instance(workspace: str, cvm: str) -> str:
    """A CVM's name in its project: predictable, because people type it (`gcloud compute start-iap-tunnel`)."""
    return _shortened((workspace, cvm), _LABEL_LENGTH)


def disk(workspace: str, cvm: str) -> str:
    """The name of a CVM's scratch disk in its project."""
    return _shortened((workspace, cvm, "scratch"), _LABEL_LENGTH)


def account(workspace: str) -> str:
    """The id of a service account: 6 to 30 characters (IAM API, serviceAccounts.create)."""
    return _shortened((workspace,), _ACCOUNT_LENGTH)


def _shortened(words: tuple[str, ...], most: int) -> str:
    text = "-".join(("cloister", *words))
    if len(text) <= most:
        return text
    # Long names with a common beginning must stay distinct.
    digest = hashlib.sha256("/".join(words).encode()).hexdigest()[:_DIGEST_LENGTH]
    return f"{text[: most - _DIGEST_LENGTH - 1].rstrip('-')}-{digest}"
