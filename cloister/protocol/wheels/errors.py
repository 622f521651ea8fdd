"""The error of this package."""

from cloister.errors import InputError


class BundleError(InputError):
    """A wheel or a bundle cannot be installed in the guest."""

    remedy = "Take another version of the package, or ask its authors for a wheel that follows the format."
