"""The errors of the local provider."""

from cloister.errors import CloisterError


class ProviderError(CloisterError):
    """A virtual machine could not be made, or must not be touched."""


class CancelledError(ProviderError):
    """The user stopped the operation."""
