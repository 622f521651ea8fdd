"""Write an image's manifest, its measurements and the list of its files."""

import json
from collections.abc import Mapping

from cloister.protocol.imagemanifest import ImageEvent, ImageManifest, ImageOutput, replayed
from image.formats import contents
from image.formats.contents import Contents
from image.inputs.recipe import Recipe
from image.rootfs.workers import Workers


def describe(
    recipe: Recipe,
    *,
    packages: Mapping[str, str],
    inputs: Mapping[str, str],
    outputs: Mapping[str, Contents],
    registers: Mapping[int, tuple[ImageEvent, ...]],
    workers: Workers,
) -> ImageManifest:
    """The manifest: the Python packages in the image, digests of inputs and outputs, and the PCRs."""
    digests = workers.map(contents.sha256, outputs.values())
    return ImageManifest(
        flavor=recipe.flavor,
        debug=recipe.debug,
        packages=packages,
        inputs=inputs,
        outputs={
            name: ImageOutput(digest, contents.size(data))
            for (name, data), digest in zip(outputs.items(), digests, strict=True)
        },
        pcrs={index: replayed(events) for index, events in registers.items()},
        events=registers,
    )


def measurements(registers: Mapping[int, tuple[ImageEvent, ...]]) -> bytes:
    """``measurements.json``: each PCR's value (sha256 bank) and the events that lead to it."""
    pcrs = {
        str(index): {
            "value": replayed(events),
            "events": [{"event": event.event, "digest": event.sha256} for event in events],
        }
        for index, events in registers.items()
    }
    return _json({"version": 1, "pcrs": pcrs})


def listing(layers: Mapping[str, Mapping[str, Mapping[str, str]]]) -> bytes:
    """``files.json``: layer -> path -> entry. Used to compare two images file by file."""
    return _json({"version": 1, "layers": layers})


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode() + b"\n"
