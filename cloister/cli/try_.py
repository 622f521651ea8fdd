"""The verb ``try``."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from cloister import client
from cloister.cli.shell import show
from cloister.cli.shell.arguments import named_paths
from cloister.cli.shell.options import JSON
from cloister.cli.shell.settings import Settings, party_verb
from cloister.errors import InputError

if TYPE_CHECKING:
    from cloister.client.trial.report import TrialReport

_FAILED = 1

_checkout: Callable[[str, str], Path] | None = None


def set_checkout(root: Callable[[str, str], Path]) -> None:
    """Let ``root`` find the tree if the verb is typed without --root: in a checkout, that of a built image.

    It takes the values of --image and --recipe, "" when omitted.
    """
    global _checkout  # noqa: PLW0603 - set once, by the program that collects all verbs
    _checkout = root


@party_verb(
    name="try",
    positional=["file"],
    repeated=["data"],
    options=[JSON],
    interrupted="The trial has ended, and nothing of it is left.",
    help={
        "file": "the manifest as its author writes it, YAML or JSON",
        "data": "NAME=PATH: harmless data, a file or a folder, in place of the dataset NAME; may be repeated",
        "root": "file from `invoke image.export`, or the folder of an image's root file system (default: with invoke "
        "in a checkout, that of the image in out/image/base)",
        "image": "instead of --root, in a checkout: flavor, or the folder of a built image",
        "recipe": "instead of --root, in a checkout: the path of a recipe of your own, whose image is built",
        "unpack": "write the results into this folder, if a machine would hand them out",
    },
    example="try computation.yaml --root root.tar.gz --data h1=mock/h1.csv",
)
def try_(
    settings: Settings,
    file: str,
    data: Sequence[str] | None = None,
    root: str | None = None,
    image: str | None = None,
    recipe: str | None = None,
    unpack: str | None = None,
) -> None:
    """Run an algorithm on harmless data here, as a machine of a workspace would run it, but without protection."""
    mock = named_paths("data", data or ())
    tree = _tree(root or "", image or "", recipe or "")
    if not settings.json:
        show.note(client.TRIAL_NOTICE)
    warnings: list[str] = []

    def warn(said: str) -> None:
        warnings.append(said)
        show.note(f"Warning: {said}")

    report = client.try_computation(
        Path(file),
        tree,
        mock,
        (lambda printed: None) if settings.json else show.ProgramOutput(keep="\n\t\r"),  # of progress bars
        Path(unpack) if unpack else None,
        show.note,
        warn,
    )
    if settings.json:
        show.facts(report.to_dict() | {"warnings": warnings})
    else:
        print("\n".join(_lines(report)))
    if not report.ok:
        raise Exit(code=_FAILED)


def _tree(root: str, image: str, recipe: str) -> Path:
    given = {"--root": root, "--image": image, "--recipe": recipe}
    images = [f"{option} {value}" for option, value in given.items() if value]
    if len(images) > 1:
        raise InputError(f"{' and '.join(images)} name different images.", hint="Pass one of them.")
    if root:
        return Path(root)
    if _checkout is None and images:
        raise InputError(
            f"{images[0]} needs a checkout of Cloister, which has the images that were built there.",
            hint="Type `invoke -r CHECKOUT try`, or pass the file that `invoke image.export` writes with --root.",
        )
    if _checkout is None:
        raise InputError(
            "A trial needs the root file system of a guest image.",
            hint="Ask the platform team for the file that `invoke image.export` writes, and pass it with --root; or "
            "use a checkout of Cloister: `invoke -r CHECKOUT try`.",
        )
    return _checkout(image, recipe)


def _lines(report: "TrialReport") -> list[str]:
    return [
        "",
        *(f"{name:<11}{said}" for name, said in report.facts()),
        *(f"  {one.size:>12}  {one.name}" for one in report.results),
        report.limits_title(),
        *(f"  {name}: {value}" for name, value in report.suggested.items()),
        *(["Not enforced as on a machine:"] if report.not_enforced else []),
        *(f"  {one}" for one in report.not_enforced),
        client.TRIAL_NOTICE,
    ]
