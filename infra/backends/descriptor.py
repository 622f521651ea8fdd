"""The workspace descriptor that a stack exports, built in the same way for every backend."""

from collections.abc import Sequence

from cloister.protocol.bootconfig import BootConfiguration
from cloister.protocol.descriptor import Budget, CvmEntry, Descriptor, MemberEntry
from infra.configuration.image import Image
from infra.configuration.workspace import WorkspaceConfiguration


def boot_configurations(configuration: WorkspaceConfiguration) -> tuple[BootConfiguration, ...]:
    """The boot configuration of each CVM, in the order of the configuration."""
    owners = tuple(sorted(member.key_digest() for member in configuration.owners()))
    return tuple(BootConfiguration(configuration.name, cvm.name, owners, cvm.scratch) for cvm in configuration.cvms)


def describe(
    configuration: WorkspaceConfiguration,
    image: Image,
    boot_configurations: Sequence[BootConfiguration],
    endpoints: Sequence[str],
    platforms: Sequence[str],
    authority: bytes | None,
) -> object:
    """The descriptor's JSON value.

    ``endpoints`` (host:port) and ``platforms`` are in the order of ``boot_configurations``. ``authority`` is the local
    CA's certificate (DER), None in a cloud, whose own keys certify the machines.
    """
    return Descriptor(
        workspace=configuration.name,
        backend=configuration.backend,
        flavor=image.manifest.flavor,
        image=image.digest,
        members=tuple(MemberEntry(one.name, one.key, one.roles) for one in configuration.members),
        cvms=tuple(
            CvmEntry(boot.cvm, endpoint, platform, boot)
            for boot, endpoint, platform in zip(boot_configurations, endpoints, platforms, strict=True)
        ),
        authority=authority,
        budget=Budget(budget.amount, budget.currency) if (budget := configuration.budget) else None,
    ).value()
