"""The verbs of the collection ``image`` about what an image is made of: its lock, changes, known vulnerabilities."""

from pathlib import Path
from typing import Any

from cloister.cli.shell.verb import verb
from cloister.errors import InputError
from image.verbs import options


@verb(
    help={
        **options.RECIPE,
        "tools": "lock the host tools instead",
        "browser": "lock the browser of the tests instead",
        "update": "take newer packages than the lock has, and show what changes",
    },
    example="invoke image.lock --recipe hospital/hospital.toml",
)
def lock(
    _: Any,
    flavor: str = options.BASE,
    recipe: str = "",
    tools: bool = False,
    browser: bool = False,
    update: bool = False,
) -> None:
    """Write the lock of a recipe, of the host tools or of the browser, from Debian's current signed index."""
    from image.changes import compare, render
    from image.inputs import relock

    words = options.chosen(flavor, recipe)
    programs = [name for name, chosen in (("tools", tools), ("browser", browser)) if chosen]
    if programs and (words != options.BASE or len(programs) > 1):
        other = f"the recipe {words}" if words != options.BASE else f"--{programs[1]}"
        raise InputError(f"--{programs[0]} and {other} have two locks.", hint="Pass one of them.")
    words = programs[0] if programs else words
    kept = relock.current(words)
    if kept.fits and not update:
        print(f"{kept.place.path} fits its recipe. `--update` takes newer packages.")
        return
    try:
        path = relock.write(words)
    except relock.ScriptError as error:
        # For the review: the lines of the scripts that changed, and why the packages did.
        if kept.lock is not None and error.draft is not None:
            options.print_plain(render.text(compare.packages_only(kept.lock, error.draft)))
        raise
    print(f"Wrote {path}. See the changes with `git diff`, or as a changelog with `invoke image.diff`.")
    if kept.lock is not None and (after := relock.current(words).lock) is not None:
        options.print_plain(render.text(compare.locks(kept.lock, after)))


@verb(
    positional=["before", "after"],
    help={
        "before": "flavor, or the lock, manifest or folder of an image",
        "after": "the newer one",
        **options.DATA,
        **options.JSON,
        "markdown": "print Markdown, for a change request",
    },
    example="invoke image.diff out/image/before base",
)
def diff(
    _: Any,
    before: str,
    after: str,
    debian: str = "",
    osv: str = "",
    fetch: bool = False,
    json: bool = False,
    markdown: bool = False,
) -> None:
    """Show what changed between two locks or two images: packages, scripts, files, sizes, measurements."""
    from image.changes import compare, render

    if json and markdown:
        raise InputError("--json and --markdown are two forms.", hint="Pass one of them.")
    changes = compare.compare(_compared(before), _compared(after), options.databases(debian, osv, fetch))
    if json:
        options.print_json(render.to_dict(changes))
    else:
        options.print_plain(render.markdown(changes, before, after) if markdown else render.text(changes))


@verb(
    help={
        **options.IMAGE,
        **options.FROM,
        **options.DATA,
        **options.JSON,
        "lock": "instead of an image, the lock of one",
        "accept": "TOML file with the vulnerabilities that you accept, each with a reason and an end",
        "fail-on": "what exit code 6 is for: never, fixable, open or all (docs/audit.md)",
    },
    example="invoke image.audit --debian tracker.json --osv PyPI.zip",
)
def audit(
    _: Any,
    image: str = options.BASE,
    recipe: str = "",
    lock: str = "",
    debian: str = "",
    osv: str = "",
    fetch: bool = False,
    accept: str = "",
    fail_on: str = "fixable",
    from_: str = "",
    json: bool = False,
) -> None:
    """List the known vulnerabilities of an image's packages, and whether their files are in the image."""
    from image.audit import audit, subject
    from image.audit.errors import VulnerableError
    from image.audit.findings import FailOn

    threshold = FailOn.named(fail_on)
    if lock and (recipe or image != options.BASE):
        raise InputError("--lock is instead of an image: --image and --recipe name one.", hint="Pass one of them.")
    if lock:
        about = subject.of_lock(Path(lock))
    else:
        named = options.chosen(options.BASE, recipe) if recipe else "" if "/" in image else image
        about = subject.of_image(options.folder(image, recipe), named)
    found = audit.audit(
        about,
        options.databases(debian, osv, fetch),
        fail_on=threshold,
        decisions=Path(accept) if accept else None,
        vendored=Path(from_) if from_ else None,
    )
    if json:
        options.print_json(found.to_dict())
    else:
        options.print_plain("\n".join(found.lines()))
    if found.failed:
        raise VulnerableError(
            f"Known vulnerabilities of {found.flavor} that count ({threshold.value}): {len(found.counted)}."
        )


def _compared(word: str) -> Path:
    """What a word names: a file or folder, or the image of a flavor. Raises InputError for an unknown flavor."""
    from image.build.output import locate

    return Path(word) if "/" in word or Path(word).exists() else locate(word)
