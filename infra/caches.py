"""The user's cache and the build output of the checkout: their sizes, and how to remove them."""

import shutil
from pathlib import Path

from cloister.cli.shell import show
from cloister.errors import CloisterError
from image import cache
from infra import paths
from infra.provider.qemu import machine


def sizes() -> dict[str, int]:
    """Bytes of each folder of the user's cache, by its path."""
    if not cache.root().is_dir():
        return {}
    return {str(entry): _size(entry) for entry in sorted(cache.root().iterdir())}


def clear() -> None:
    """Remove the user's cache. Raises CloisterError while a workspace is up: its QEMU runs from the cache."""
    _refuse_while_up()
    shutil.rmtree(cache.root(), ignore_errors=True)


def clean(*, ask: bool) -> list[Path]:
    """Remove ``out/`` of the checkout. Raises CloisterError while a workspace is up."""
    _refuse_while_up()
    folder = paths.CHECKOUT / "out"
    if not folder.exists():
        return []
    if ask and not show.confirmed(f"Remove {folder}?"):
        return []
    shutil.rmtree(folder)
    return [folder]


def _refuse_while_up() -> None:
    """Also for a workspace that a team's own program declares: only its folder is known here."""
    state = paths.state()
    folders = sorted(folder for folder in state.iterdir() if folder.is_dir()) if state.is_dir() else []
    up = [folder.name for folder in folders if any(machine.running(cvm) for cvm in folder.iterdir())]
    if up:
        raise CloisterError(
            f"A workspace is up: {', '.join(up)}.",
            hint=f"Stop it first: invoke workspace.down --stack {up[0]}, or in the program that declares it.",
        )


def _size(path: Path) -> int:
    if path.is_dir() and not path.is_symlink():
        return sum(_size(entry) for entry in path.iterdir())
    return path.lstat().st_size
