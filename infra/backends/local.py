"""A workspace on this machine. It is not confidential: a policy accepts it only with ``allow_local: true``."""

import pulumi

from cloister.protocol import canonical
from infra.backends.component import WorkspaceBase
from infra.backends.descriptor import boot_configurations, describe
from infra.backends.rolling import RollingReplacement
from infra.configuration.image import Image
from infra.configuration.workspace import WorkspaceConfiguration
from infra.resources.types import LOCAL_AUTHORITY, LOCAL_CVM

PLATFORM = "local"


class LocalAuthority(pulumi.CustomResource):
    """The workspace's certification authority."""

    certificate: pulumi.Output[str]

    def __init__(self, name: str, workspace: str, options: pulumi.ResourceOptions) -> None:
        stack = f"{pulumi.get_project()}/{pulumi.get_stack()}"
        inputs = {"workspace": workspace, "stack": stack, "certificate": None, "keyDigest": None}
        super().__init__(LOCAL_AUTHORITY, name, inputs, options)


class LocalCvm(pulumi.CustomResource):
    """A virtual machine."""

    endpoint: pulumi.Output[str]

    def __init__(self, name: str, inputs: dict[str, pulumi.Input[object]], options: pulumi.ResourceOptions) -> None:
        computed = {"endpoint": None, "status": None, "accelerator": None, "process": None}
        super().__init__(LOCAL_CVM, name, {**inputs, **computed}, options)


class WorkspaceComponent(WorkspaceBase):
    """The CVMs of a workspace and its authority."""

    def __init__(self, configuration: WorkspaceConfiguration, image: Image, options: pulumi.ResourceOptions) -> None:
        super().__init__(configuration, image, options)
        own = pulumi.ResourceOptions(parent=self)
        authority = LocalAuthority("authority", configuration.name, own)
        rolling = RollingReplacement(configuration)
        endpoints = []
        boots = boot_configurations(configuration)
        for cvm, boot in zip(configuration.cvms, boots, strict=True):
            inputs: dict[str, pulumi.Input[object]] = {
                "workspace": configuration.name,
                "name": cvm.name,
                "image": configuration.image,
                "imageDigest": image.deployed,
                "bootConfiguration": boot.encode().decode(),
                "authority": authority.certificate,
                "vcpus": cvm.vcpus,
                "memory": cvm.memory,
            }
            if cvm.port is not None:
                inputs["port"] = cvm.port
            if cvm.scratch:
                inputs["scratch"] = cvm.scratch
            if cvm.cpu:
                inputs["cpu"] = cvm.cpu
            if configuration.force:
                inputs["force"] = True
            machine = LocalCvm(cvm.name, inputs, pulumi.ResourceOptions.merge(own, rolling.options()))
            rolling.add(machine)
            endpoints.append(machine.endpoint)
        platforms = [PLATFORM] * len(boots)
        self.publish(
            pulumi.Output.all(authority.certificate, *endpoints).apply(
                lambda values: describe(
                    configuration,
                    image,
                    boots,
                    [str(one) for one in values[1:]],
                    platforms,
                    canonical.from_base64(str(values[0]), what="The authority's certificate"),
                )
            )
        )
