"""Loading and writing the file of a canonical manifest."""

from dataclasses import dataclass
from pathlib import Path

from cloister import userfile
from cloister.client.computation.manifest_source import compose_manifest
from cloister.client.files import document_type
from cloister.client.html.fragment import fragment
from cloister.client.html.parts import Facts, Sentences, TextTable, one_line
from cloister.errors import InputError
from cloister.protocol import canonical, names
from cloister.protocol.imagemanifest import ImageManifest
from cloister.protocol.manifest import MAX_SIZE, Manifest
from cloister.units import format_size
from cloister.userfile import FilePath


def load_manifest(path: FilePath) -> Manifest:
    """The canonical manifest at ``path``. Raises InputError."""
    path = Path(path)
    try:
        # Editors and `echo` add a newline at the end; it is not part of the canonical form.
        data = userfile.read(path, MAX_SIZE + 1).removesuffix(b"\n")
    except OSError as error:
        raise userfile.unreadable(path, error, missing="`manifest` writes one.") from error
    try:
        return Manifest.parse(data)
    except canonical.FormatError as error:
        hint = f"`manifest {path}` writes the canonical form." if path.suffix in (".yaml", ".yml") else ""
        raise document_type.mistaken(path, data, document_type.COMPUTATION, error, hint=hint) from error


@dataclass(frozen=True, repr=False)
class WrittenManifest:
    """A canonical manifest in its file.

    ``unchanged`` is true when the file had the same manifest before. ``notes`` are sentences that the author should
    read, ``warnings`` are what may fail in the guest.
    """

    path: Path
    manifest: Manifest
    unchanged: bool
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return one_line(f"WrittenManifest {self.path}, digest {self.manifest.digest().hex()}")

    def _repr_html_(self) -> str:
        columns = (("Asset", "name"), ("Provider", "text"), ("File", "text"), ("Size", "text"), ("SHA-256", "code"))
        rows = [
            (one.name, one.provider, names.shown(one.file), format_size(one.size), one.digest)
            for one in self.manifest.assets()
        ]
        digest = Facts.of([("Manifest", self.manifest.digest().hex())], code=True)
        said = [Sentences(self.notes, "Notes"), Sentences(self.warnings, "Warnings", warning=True)]
        title = f"{'Unchanged' if self.unchanged else 'Written'}: {self.path}"
        return fragment(title, digest, TextTable.of(columns, rows), *(one for one in said if one.lines))


def write_manifest(source: FilePath, target: FilePath, image: ImageManifest | None = None) -> WrittenManifest:
    """Write the canonical form of an author's manifest: paths, units and keys resolved, digests and sizes filled in.

    Args:
        source: the author's manifest, YAML or JSON.
        target: the file of the canonical form. It is never overwritten with a different manifest.
        image: the image that will run it; None if the author does not name one.

    Returns:
        The canonical manifest.

    Raises:
        InputError: the manifest is invalid (with file and line), the guest cannot run its algorithm, a file cannot be
            read or written, or ``target`` has other content.
    """
    source = Path(source)
    target = Path(target)
    if target.resolve() == source.resolve():
        raise InputError(f"The canonical form would replace {source}.", hint="Name another file with --output.")
    before = _written(target)
    notes: list[str] = []
    warnings: list[str] = []
    made = compose_manifest(source, before, notes, warnings, image)
    if before is None:
        userfile.write_file(target, made.encode())
    elif members := _differing(before, made):
        raise InputError(
            f"{source} has changed since {target} was written: {', '.join(members)}. It is not overwritten.",
            hint="Parties may have the old manifest, and would reject another. Remove it if no party has it; otherwise "
            "name another file with --output.",
        )
    return WrittenManifest(target, made, before is not None, tuple(notes), tuple(warnings))


def _written(path: Path) -> Manifest | None:
    """The manifest that an earlier call wrote to ``path``; None when the file is missing or empty.

    Raises InputError for any other content, which must not be overwritten.
    """
    try:
        data = userfile.read(path, MAX_SIZE + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise userfile.unwritable(path, error) from error
    if not data:
        return None
    try:
        return Manifest.parse(data.removesuffix(b"\n"))
    except canonical.FormatError as error:
        found = document_type.of(data) or f"not {document_type.COMPUTATION}"
        raise InputError(
            f"{path} exists and is {found}; it is not overwritten.", hint="Name another file with --output."
        ) from error


def _differing(one: Manifest, other: Manifest) -> tuple[str, ...]:
    """The names of the members in which two manifests differ."""
    first, second = one.value(), other.value()
    return tuple(name for name in first if first[name] != second[name])
