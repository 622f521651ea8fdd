"""The verb ``bundle``."""

from pathlib import Path

from cloister import client
from cloister.cli.shell import show
from cloister.cli.shell.options import IMAGE, JSON
from cloister.cli.shell.settings import Settings, party_verb
from cloister.units import format_size


@party_verb(
    positional=["requirements"],
    options=[IMAGE.described(f"{IMAGE.help}: the bundle leaves out the packages that it has"), JSON],
    help={
        "requirements": "requirements.txt; one without exact versions and hashes is locked first",
        "output": "file of the bundle (default: the name of the requirements with .bundle)",
    },
    example="bundle requirements.lock --output numpy.bundle",
)
def bundle(settings: Settings, requirements: str, output: str | None = None) -> None:
    """Pack the Python packages of an algorithm into one file, with the same bytes on every machine."""
    source = Path(requirements)
    target = Path(output) if output else source.with_suffix(".bundle")
    if not settings.json:
        show.note(f"Packing the wheels of {source}, after downloading and inspecting those that are not cached ...")
    made = client.make_bundle(source, target, image=settings.image())
    for warning in (*made.library_warnings, *made.cpu_warnings):
        show.note(f"Warning: {warning}")
    if settings.json:
        show.facts(_facts(made))
        return
    if made.lock is not None:
        print(f"Locked first: {made.lock}. Read it; the bundle has these versions.")
    for line in made.index_lines:
        print(f"  for locking only: {line}")
    for name, version in sorted(made.image_packages.items()):
        print(f"  {name}=={version} (in the image, and not in the bundle)")
    for wheel in made.wheels:
        print(f"  {wheel.path.name}")
    print(
        f"Unpacked it takes {format_size(made.unpacked_size)} of limits.memory. With 256 MiB for the program, write at "
        f"least: memory: {made.suggested_memory}"
    )
    print(f"Written: {made.path}, {format_size(made.size)}, SHA-256 {made.digest_hex}")


def _facts(made: "client.Bundle") -> dict[str, object]:
    return {
        "bundle": str(made.path),
        "digest": made.digest_hex,
        "size": made.size,
        "unpacked_size": made.unpacked_size,
        "suggested_memory": made.suggested_memory,
        "wheels": [wheel.path.name for wheel in made.wheels],
        "missing_libraries": [
            {"library": one.library, "package": one.package, "file": one.file, "better": one.better}
            for one in made.missing_libraries
        ],
        "cpu_warnings": list(made.cpu_warnings),
        "image_packages": dict(made.image_packages),
        "lock": None if made.lock is None else str(made.lock),
        "index_lines": list(made.index_lines),
    }
