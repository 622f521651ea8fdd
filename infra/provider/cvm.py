"""The resource ``CvmResource``: one virtual machine on this machine, with a software TPM.

Inputs: ``workspace``, ``name``, ``image`` (flavor or manifest path), ``imageDigest`` (of its manifest, or if it is
signed of its statement), ``bootConfiguration`` (canonical JSON), ``authority`` (certificate, base64url), ``vcpus``,
``memory`` (bytes), ``scratch`` (bytes), ``port``, ``cpu``, ``force``. Outputs: these, and ``endpoint``, ``status``,
``accelerator``, ``process``.
"""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from cloister.errors import CloisterError
from cloister.protocol import canonical
from cloister.protocol.bootconfig import BootConfiguration
from image import disk_space
from image.inputs import host_tools
from infra import paths
from infra.configuration import image
from infra.configuration.validation import NAME
from infra.processes import Process
from infra.provider import authority, certificates
from infra.provider.errors import CancelledError, ProviderError
from infra.provider.qemu import accelerator, machine, ports, powerbutton, vtpm
from infra.provider.qemu.boot import BootWatch, SilentError
from infra.provider.qemu.health import has_unfinished_run
from infra.provider.qemu.liveness import is_alive, process_of
from infra.provider.resource import CheckResult, CreateContext, Properties, ResourceDiff
from infra.resources.placeholders import COMPUTED

RUNNING = "running"
STOPPED = "stopped"

_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_REPLACING = (
    "workspace",
    "name",
    "imageDigest",
    "bootConfiguration",
    "authority",
    "vcpus",
    "memory",
    "scratch",
    "port",
    "cpu",
)
_UPDATING = ("image",)
_OPTIONAL = ("scratch", "port", "cpu", "force")


class CvmResource:
    """The handler of the resource; the module's docstring lists inputs and outputs."""

    def check(self, olds: Properties, news: Properties) -> CheckResult:
        """Validate all inputs. Without a configured port, the previous one is kept, so that the endpoint is stable."""
        inputs = dict(news)
        failures = [(name, "unknown input.") for name in news if name not in _REPLACING + _UPDATING + _OPTIONAL]
        failures += [
            (name, "is missing.") for name in _REPLACING + _UPDATING if name not in news and name not in _OPTIONAL
        ]
        for name in ("workspace", "name"):
            if name in news and not NAME.match(str(news[name])):
                failures.append((name, f"invalid name {news[name]!r}."))
        if "imageDigest" in news and not _DIGEST.match(str(news["imageDigest"])):
            failures.append(("imageDigest", "must be a SHA-256 in hexadecimal digits."))
        failures += _check_configuration(news)
        if not failures and "port" not in inputs:
            inputs["port"] = _port(olds, news)
        return CheckResult(inputs, tuple(failures))

    def diff(self, inputs: Properties, state: Properties, news: Properties) -> ResourceDiff:
        """Replaces a CVM that ended. Refuses to replace one with an unfinished run, unless forced (ProviderError)."""
        replaces = tuple(name for name in _REPLACING if inputs.get(name) != news.get(name))
        updates = tuple(name for name in _UPDATING if inputs.get(name) != news.get(name))
        if not is_alive(state):
            return ResourceDiff((*replaces, "status"), updates, outputs=("status",))
        if replaces and news.get("force") is not True:
            _refuse_unfinished(state, replaces)
        return ResourceDiff(replaces, updates)

    def create(self, inputs: Properties, operation: CreateContext) -> tuple[str, dict[str, Any]]:
        """Start the CVM. On any error, nothing of it is left."""
        name, port = str(inputs["name"]), int(inputs["port"])
        found = image.find(inputs["image"])
        if found.deployed != inputs["imageDigest"]:
            raise ProviderError(
                f"The image {inputs['image']!r} changed during the update (declared: {inputs['imageDigest']}, "
                f"found: {found.deployed}).",
                hint="Run the update again: pulumi up",
            )
        image.check_disk(found)
        tools = host_tools.ensure()
        folder = _folder(inputs)
        machine.remove(folder)
        if not ports.is_free(port):
            raise ProviderError(
                f"Port {port} on {ports.LOOPBACK} is in use by another program.",
                hint="End that program, or set another port in cloister:workspace.cvms[].port.",
            )
        accel = accelerator.choose(tools)
        cpu = str(inputs.get("cpu", ""))
        if cpu:
            accelerator.check_cpu(tools, accel, cpu)
        scratch = int(inputs.get("scratch", 0))
        hardware = machine.Hardware(
            f"{inputs['workspace']}/{name}",
            inputs["vcpus"],
            inputs["memory"],
            port,
            found.manifest.debug,
            cpu,
            scratch,
            found.signed,
        )
        try:
            with disk_space.needed(paths.state()):
                boot_configuration = inputs["bootConfiguration"].encode()
                machine.prepare(folder, tools, found.disk, boot_configuration, scratch, keys=found.keys)
                vtpm.create(tools, folder, lambda point: _certify(inputs, point))
            if operation.cancelled.is_set():
                raise CancelledError(f"Starting the CVM {name!r} was cancelled.")
            process = _boot(folder, tools, hardware, accel, operation)
        except BaseException:
            machine.remove(folder)
            raise
        return f"{inputs['workspace']}/{name}", dict(inputs) | {
            "endpoint": f"{ports.LOOPBACK}:{port}",
            "status": RUNNING,
            "accelerator": accel.name,
            "process": {"pid": process.pid, "started": process.started},
        }

    def read(self, state: Properties) -> dict[str, Any] | None:
        alive = is_alive(state)
        if not alive and not _folder(state).exists():
            return None
        return dict(state) | {"status": RUNNING if alive else STOPPED}

    def update(self, state: Properties, news: Properties) -> dict[str, Any]:
        return dict(state) | dict(news)

    def delete(self, state: Properties) -> None:
        """Press the power button, so that the guest tells its parties; what does not end is killed."""
        process = process_of(state)
        if process is not None:
            powerbutton.press(_folder(state), process)
            process.end()
        machine.remove(_folder(state))


def _boot(
    folder: Path,
    tools: host_tools.Tools,
    hardware: machine.Hardware,
    accel: accelerator.Accelerator,
    operation: CreateContext,
) -> Process:
    """Start QEMU and wait until the agent answers. A silent machine is started a second time."""
    operation.say(f"starting, with {'KVM' if accel.name == 'kvm' else 'an emulated CPU'}")
    qemu = machine.boot(folder, tools, hardware, accel)
    watch = BootWatch(folder.name, folder, qemu, hardware.port, operation.cancelled, operation.say)
    try:
        watch.wait()
    except SilentError as error:
        operation.say(f"{error.message} Starting it again")
        machine.stop(folder)
        qemu = machine.boot(folder, tools, hardware, accel)
        replace(watch, qemu=qemu).wait()
    process = Process.of(qemu.pid)
    if process is None:
        raise ProviderError(f"The CVM {folder.name!r} ended right after it became ready.")
    return process


def _check_configuration(news: Properties) -> list[tuple[str, str]]:
    text = news.get("bootConfiguration")
    if text is None or text == COMPUTED:
        return []
    try:
        configuration = BootConfiguration.parse(str(text).encode())
    except CloisterError as error:
        return [("bootConfiguration", error.message)]
    if (configuration.workspace, configuration.cvm) != (news.get("workspace"), news.get("name")):
        return [("bootConfiguration", f"belongs to {configuration.workspace}/{configuration.cvm}.")]
    if configuration.scratch != news.get("scratch", 0):
        return [("scratch", f"the boot configuration has {configuration.scratch} bytes.")]
    return []


def _port(olds: Properties, news: Properties) -> int:
    """The previous port. For a replacement the engine does not pass it, so that the running machine's is used; without
    one, the port is derived from the machine's name.
    """
    folder = _folder(news)
    for process in machine.running(folder) if folder.is_dir() else ():
        if port := machine.port(process):
            return port
    before = olds.get("port")
    if isinstance(before, int) and ports.is_free(before):
        return before
    return ports.preferred(str(folder))


def _refuse_unfinished(state: Properties, replaces: tuple[str, ...]) -> None:
    what = f"The CVM {state['name']!r} would be replaced (because of {', '.join(replaces)}), but"
    hint = "Wait for the run or stop it; to lose it, set CLOISTER_FORCE=1 or cloister:workspace.force: true."
    try:
        unfinished = has_unfinished_run(state["endpoint"])
    except ProviderError as error:
        raise ProviderError(f"{what} {error.message.removesuffix('.')}.", hint=hint) from error
    if unfinished:
        raise ProviderError(f"{what} its run is unfinished.", hint=hint)


def _certify(inputs: Properties, point: bytes) -> bytes:
    der = canonical.from_base64(inputs["authority"], what="The authority's certificate")
    subject = f"{inputs['workspace']}/{inputs['name']}: local attestation key"
    return certificates.certify(paths.state() / inputs["workspace"] / authority.FOLDER, der, point, subject)


def _folder(properties: Properties) -> Path:
    return paths.state() / str(properties["workspace"]) / str(properties["name"])
