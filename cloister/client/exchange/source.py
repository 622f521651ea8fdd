"""From a canonical manifest back to the form that authors write, for another workspace."""

from typing import Any

import yaml

from cloister.client.files.keys import public_pem
from cloister.protocol.manifest import Asset, Manifest


def author_form(manifest: Manifest) -> dict[str, Any]:
    """What an author would write, without the id: another computation gets its own.

    Files are looked for at :func:`place_of`; digest and size are those of the manifest, so that none needs to be there.
    """
    value = manifest.value()
    algorithm = dict(value["algorithm"])
    algorithm.pop("image_packages", None)  # `manifest` finds them in the bundle
    made = manifest.algorithm
    algorithm["file"] = place_of(made.asset)
    if made.bundle is not None:
        algorithm["bundle"] = {**algorithm["bundle"], "file": place_of(made.bundle)}
    if made.files:
        algorithm["files"] = [
            {**written, "file": place_of(asset)} for written, asset in zip(algorithm["files"], made.files, strict=True)
        ]
    return {
        **{name: part for name, part in value.items() if name != "id"},
        "parties": {name: {"key": public_pem(key).decode()} for name, key in manifest.parties.items()},
        "algorithm": algorithm,
        "datasets": [
            {**written, "file": place_of(asset)}
            for written, asset in zip(value["datasets"], manifest.datasets, strict=True)
        ],
    }


def place_of(asset: Asset) -> str:
    """Where an asset is looked for, from the folder of the author's manifest on. No two have the same place."""
    if asset.kind == "dataset":
        return f"data/{asset.name}/{asset.file}"
    return f"files/{asset.name}/{asset.file}" if asset.kind == "file" else f"{asset.kind}/{asset.file}"


def written_form(manifest: Manifest) -> bytes:
    """The author's form as YAML."""
    text: str = yaml.dump(author_form(manifest), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1 << 20)
    return text.encode()


class _Dumper(yaml.SafeDumper):
    """Puts all text in quotes, since other versions of YAML take some of it for numbers; keys as blocks of lines."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, said: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", said, style="|" if "\n" in said else '"')


_Dumper.add_representer(str, _text)
