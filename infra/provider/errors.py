"""The errors of the local provider."""

from cloister.errors import CloisterError


class ProviderError(CloisterError):
    """A virtual machine could not be started, or must not be changed."""

    remedy = "Run the command again; if it fails again, replace the CVM: invoke workspace.down, then workspace.up"


class CancelledError(ProviderError):
    """The user cancelled the operation."""

    remedy = "Run the command again."
