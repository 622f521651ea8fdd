"""A workspace on this machine. No confidentiality: a party's policy must say ``allow_local: true`` to accept it."""

import pulumi

from cloister.protocol import canonical
from infra.backends.descriptor import boots, describe
from infra.backends.rolling import Rolling
from infra.configuration.image import Image
from infra.configuration.workspace import WorkspaceConfiguration
from infra.resources.types import LOCAL_AUTHORITY, LOCAL_CVM

PLATFORM = "local"


class Authority(pulumi.CustomResource):
    """The workspace's certification authority."""

    certificate: pulumi.Output[str]

    def __init__(self, name: str, workspace: str, options: pulumi.ResourceOptions) -> None:
        super().__init__(
            LOCAL_AUTHORITY, name, {"workspace": workspace, "certificate": None, "keyDigest": None}, options
        )


class Cvm(pulumi.CustomResource):
    """A virtual machine."""

    endpoint: pulumi.Output[str]

    def __init__(self, name: str, inputs: dict[str, pulumi.Input[object]], options: pulumi.ResourceOptions) -> None:
        computed = {"endpoint": None, "status": None, "accelerator": None, "process": None}
        super().__init__(LOCAL_CVM, name, {**inputs, **computed}, options)


class Workspace(pulumi.ComponentResource):
    """The machines of a workspace. ``descriptor`` is what its parties are handed."""

    descriptor: pulumi.Output[object]

    def __init__(self, configuration: WorkspaceConfiguration, image: Image) -> None:
        super().__init__("cloister:local:Workspace", configuration.name)
        options = pulumi.ResourceOptions(parent=self)
        authority = Authority("authority", configuration.name, options)
        rolling = Rolling(configuration)
        endpoints = []
        told = boots(configuration)
        for cvm, boot in zip(configuration.cvms, told, strict=True):
            inputs: dict[str, pulumi.Input[object]] = {
                "workspace": configuration.name,
                "name": cvm.name,
                "image": configuration.image,
                "imageDigest": image.digest,
                "bootConfiguration": boot.encode().decode(),
                "authority": authority.certificate,
                "vcpus": cvm.vcpus,
                "memory": cvm.memory,
            }
            if cvm.port is not None:
                inputs["port"] = cvm.port
            if configuration.force:
                inputs["force"] = True
            machine = Cvm(cvm.name, inputs, pulumi.ResourceOptions.merge(options, rolling.turn()))
            rolling.done(machine)
            endpoints.append(machine.endpoint)
        platforms = [PLATFORM] * len(told)
        self.descriptor = pulumi.Output.all(authority.certificate, *endpoints).apply(
            lambda values: describe(
                configuration,
                image,
                told,
                [str(one) for one in values[1:]],
                platforms,
                canonical.from_base64(str(values[0]), what="The authority's certificate"),
            )
        )
        self.register_outputs({"descriptor": self.descriptor})
