"""What other people do between two blocks of a page, in the words of the page's comments."""

from collections.abc import Callable

from cloister.protocol.invitation import Invitation
from tests.pages.markdown import CHECKOUT, blocks
from tests.pages.world import ROLES, WORKSPACE, Step, World


def _copy(source: str, name: str) -> Callable[[World], None]:
    """Copy a file of the checkout."""

    def act(world: World) -> None:
        (world.folder / name).write_bytes((CHECKOUT / source).read_bytes())

    return act


def _make_folders(world: World) -> None:
    (world.folder / ".home" / ".config" / "fish" / "completions").mkdir(parents=True)


def _invite(world: World) -> None:
    invitation = Invitation.new(WORKSPACE, "hospital-1", ("dataset-provider", "result-consumer"))
    (world.folder / "hospital-1.invitation.json").write_bytes(invitation.encode())


def _answer(world: World) -> None:
    world.shell("cloister join lab.invitation.json\ncloister join hospital-1.invitation.json", "The answers")


def _start_workspace(world: World) -> None:
    world.need_engine()
    world.make_keys()
    world.shell(
        "invoke workspace.new trial\n"
        + "".join(
            f"invoke member.add {name} --key {name}.pub --roles {','.join(roles)}\n" for name, roles in ROLES.items()
        )
        + "invoke workspace.up\ninvoke workspace.export --output workspace.json\n",
        "The workspace",
    )


def _declare_registries(world: World) -> None:
    world.need_engine()
    world.shell("invoke registry.new main --backend gcp --project my-project --location europe-west4", "The registry")


def _add_numbers(world: World) -> None:
    world.make_keys()
    (world.folder / "addition.py").write_text("import sys\nprint(sys.argv)\n")
    page = CHECKOUT / "docs" / "coming-from-cocos.md"
    (world.folder / "computation.yaml").write_text(blocks(page, "yaml")[0].text)


def _submit(world: World) -> None:
    for said in ("bundled its packages", "written the manifest", "submitted the manifest"):
        world.step(f"the lab has {said}")


def _forget_policy(world: World) -> None:
    world.step("a computation is complete")
    (world.folder / "policy.json").unlink()
    for name in ("KEY", "POLICY", "WORKSPACE"):
        del world.environment[f"CLOISTER_{name}"]


def _archive(world: World) -> None:
    world.step("a result was fetched")
    world.shell(f"cloister events --save events.jsonl --key lab.pem {_WITH}", "The archive")
    for name in ("KEY", "POLICY", "WORKSPACE"):
        del world.environment[f"CLOISTER_{name}"]


def _fetch_all(world: World) -> None:
    world.step("the computation has ended")
    world.step("the lab has fetched the result")
    fetch = f"cloister result --manifest computation.json --output other.zip --key hospital-1.pem {_WITH}"
    world.shell(fetch, "The hospital's copy")


def _plan_tonight(world: World) -> None:
    world.step("a machine waits for a manifest")
    (world.folder / "data").mkdir()
    (world.folder / "data" / "h1.csv").write_bytes((world.folder / "h1.csv").read_bytes())
    world.shell(
        "cloister manifest computation.yaml --output tonight.json\n"
        f"cloister run --manifest tonight.json --key lab.pem {_WITH} --detach",
        "The manifest of tonight",
    )


def _build_image(world: World) -> None:
    from image.build import incremental, output

    incremental.build("base", output.folder("base"), relock=True)


def _build_with_firmware(world: World) -> None:
    from image.inputs import host_tools

    _build_image(world)
    (world.folder / "OVMF.fd").symlink_to(host_tools.ensure(relock=True).path("usr/share/ovmf/OVMF.fd"))


_WITH = "--policy policy.json --workspace workspace.json"
STEPS: dict[str, Step] = {
    "every party has a key": World.make_keys,
    "the platform team has started the machine": World.start_machine,
    "the reader has a policy": World.make_policy,
    "the lab has bundled its packages": "cloister bundle requirements.txt --output numpy.bundle",
    "the lab has written the manifest": "cloister manifest computation.yaml",
    "the lab has submitted the manifest": f"cloister run --manifest computation.json --key lab.pem {_WITH} --detach",
    "hospital-1 has uploaded its data": "cloister upload-data h1.csv --manifest computation.json --key hospital-1.pem "
    + _WITH,
    "the lab has uploaded its algorithm": "cloister upload-algorithm train.py --bundle numpy.bundle "
    f"--manifest computation.json --key lab.pem {_WITH}",
    "the computation has ended": f"cloister events --until completed --key lab.pem {_WITH}",
    "the lab has fetched the result": "cloister result --manifest computation.json --output results.zip --key lab.pem "
    + _WITH,
}
_ORDER = tuple(STEPS)


def _everything_before(last: str) -> Callable[[World], None]:
    """All steps of a computation up to one."""

    def act(world: World) -> None:
        for said in _ORDER[: _ORDER.index(last) + 1]:
            world.step(said)

    return act


STEPS |= {
    "the example of a compiled program is there": _copy("examples/kinds/mean.c", "mean.c"),
    "the shell's folders are there": _make_folders,
    "the platform team has invited hospital-1": _invite,
    "the members have answered": _answer,
    "a workspace is up": _start_workspace,
    "the platform team has replaced the machine": World.start_machine,
    "the lab has submitted its computation": _submit,
    "hospital-1 is to get the result": _forget_policy,
    "the platform team has registries": _declare_registries,
    "the program and the manifest of this section are there": _add_numbers,
    "every consumer has fetched the result": _fetch_all,
    "there is another workspace": "cp workspace.json other-workspace.json",
    "the lab has archived its files": _archive,
    "a scheduler has the manifest of tonight": _plan_tonight,
    "the platform team has built the image": _build_image,
    "the team has built the image and has its host's firmware": _build_with_firmware,
    "a machine waits for a manifest": _everything_before("the lab has written the manifest"),
    "a computation waits for its assets": _everything_before("the lab has submitted the manifest"),
    "a computation is complete": _everything_before("the computation has ended"),
    "a result was fetched": _everything_before("the lab has fetched the result"),
}
