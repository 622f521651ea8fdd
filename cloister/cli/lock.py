"""The verb ``lock``."""

from pathlib import Path

from cloister import client
from cloister.cli.shell import show
from cloister.cli.shell.options import IMAGE, JSON
from cloister.cli.shell.settings import Settings, party_verb


@party_verb(
    positional=["requirements"],
    options=[
        IMAGE.described(
            f"{IMAGE.help}: its packages are taken where the requirements allow, and stay out of the bundle"
        ),
        JSON,
    ],
    help={
        "requirements": "requirements.txt, as people or tools write it",
        "output": "file of the lock (default: the name of the requirements with .lock)",
        "upgrade": "take the newest versions; without it an existing lock keeps its versions",
    },
    example="lock requirements.txt",
)
def lock(settings: Settings, requirements: str, output: str | None = None, upgrade: bool = False) -> None:
    """Choose exact versions and hashes of Python packages for the guest."""
    if not settings.json:
        show.note(f"Locking {requirements} for the guest's Python with uv ...")
    made = client.lock_requirements(
        Path(requirements),
        Path(output) if output else None,
        upgrade=upgrade,
        image=settings.image(),
    )
    if settings.json:
        packages = [f"{one.name}=={one.version}" for one in made.requirements]
        facts = {"lock": str(made.path), "packages": packages, "index_lines": list(made.index_lines)}
        show.facts({**facts, "image_packages": dict(made.image_packages)})
        return
    for line in made.index_lines:
        print(f"  for locking only: {line}")
    for name, version in made.image_packages.items():
        print(f"  {name}=={version} (in the image, and not in the bundle)")
    for one in made.requirements:
        print(f"  {one.name}=={one.version}")
    print(f"Written: {made.path}, {len(made.requirements)} packages. Read it before you make a bundle of it.")
