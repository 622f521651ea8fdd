"""A contract for import-linter: a package may import only what its contract names."""

from dataclasses import dataclass

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


@dataclass(frozen=True, order=True)
class ForbiddenImport:
    """A direct import that the package's contract does not name."""

    importer: str
    imported: str
    lines: tuple[int, ...]


def forbidden_imports(
    graph: ImportGraph, room: str, may_import: list[str], packages: list[str]
) -> list[ForbiddenImport]:
    """Return the direct imports out of ``room`` into the project's ``packages`` that ``may_import`` does not cover.

    A name covers itself and everything below it. Modules outside of ``packages`` are not checked.
    """
    allowed = [room, *may_import]
    found = []
    for importer in sorted(module for module in graph.modules if _is_within(module, [room])):
        for imported in sorted(graph.find_modules_directly_imported_by(importer)):
            if _is_within(imported, packages) and not _is_within(imported, allowed):
                details = graph.get_import_details(importer=importer, imported=imported)
                found.append(ForbiddenImport(importer, imported, tuple(detail["line_number"] for detail in details)))
    return found


def _is_within(module: str, packages: list[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


class RoomContract(Contract):
    """``room`` may import itself and ``may_import`` of the project; third-party packages are not restricted."""

    type_name = "room"

    room = fields.StringField()
    may_import = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        options = self.contract_options
        found = forbidden_imports(graph, options["room"], options["may_import"], self.session_options["root_packages"])
        return ContractCheck(kept=not found, metadata={"forbidden_imports": found})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for one in check.metadata["forbidden_imports"]:
            lines = ", ".join(f"l.{line}" for line in one.lines)
            output.print_error(f"{one.importer} imports {one.imported} ({lines})", bold=False)
        output.new_line()
