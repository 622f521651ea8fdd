"""A builder's statement about an image that it has built in this checkout."""

from datetime import datetime
from pathlib import Path

from cloister.attestation.statements.provenance import MANIFEST, Dependency, Provenance
from cloister.errors import InputError
from image.build import output, source
from image.inputs import lockfile, recipe
from image.inputs.lockfile import Lock
from image.sbom import document


def state(folder: Path, words: str, *, builder: str, now: datetime) -> Provenance:
    """What the builder with the key id ``builder`` states of the image in ``folder``; ``words`` name its recipe.

    Raises ImageError, and InputError unless the files are those of its manifest, and recipe, lock, host tools and
    sources those of this checkout: it is not for others to state what someone has built.
    """
    manifest = output.read_manifest(folder)
    if damaged := output.check(manifest, folder):
        raise InputError(
            f"{folder / damaged[0]} is not the file that the image's manifest names.",
            hint="Build the image before you state that you have built it: " + output.building(folder) + ".",
        )
    loaded = recipe.load(words or manifest.flavor)
    lock, tools = lockfile.load(loaded.lock), lockfile.load(recipe.TOOLS)
    here = {
        "recipe": loaded.recipe.digest(),
        "lock": lock.digest(),
        "tools": tools.digest(),
        "source": source.digest(source.builders_digest(), source.agent(loaded.recipe.agent)),
    }
    if differ := [name for name, digest in here.items() if manifest.inputs.get(name) != digest]:
        raise InputError(
            f"The image in {folder} was not built from this checkout, where these differ: {', '.join(differ)}.",
            hint="Build it here first, or check out the commit that it was built from.",
        )
    return Provenance(
        flavor=manifest.flavor,
        subjects={MANIFEST: manifest.digest().hex(), **{name: one.sha256 for name, one in manifest.outputs.items()}},
        dependencies=(*(Dependency(name, digest) for name, digest in here.items()), *_packages(lock)),
        builder=builder,
        signed=now,
    )


def _packages(lock: Lock) -> list[Dependency]:
    debs = [Dependency(one.name, one.sha256, document.deb_url(one, lock.suite)) for one in lock.packages]
    wheels = [Dependency(one.name, one.sha256, document.wheel_url(one)) for one in (*lock.wheels, *lock.agent_wheels)]
    return [*debs, *wheels]
