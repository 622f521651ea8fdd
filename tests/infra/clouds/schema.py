"""The resource types of a cloud's SDK, read from the source of its classes.

The SDKs are never imported: their modules have megabytes, but finding and parsing one class takes milliseconds.
"""

import ast
import importlib.metadata
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

PACKAGES = {"azure-native": "pulumi_azure_native", "gcp": "pulumi_gcp"}

# Enums that their documentation calls deprecated ("The enum data type is currently deprecated and will
# be removed by December 23rd 2023", HardwareProfileArgs.vm_size).
_OPEN = ("VirtualMachineSizeTypes",)
_PRIMITIVES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_ASSETS = ("Asset", "Archive")
_LISTED = re.compile(r"Possible values are: ((?:`[A-Za-z0-9_]+`(?:, and |, or |,\s+| and | or )?)+)")


class SchemaError(Exception):
    """The SDK does not have the type, or declares it in an unsupported way."""


@dataclass(frozen=True)
class PrimitiveType:
    """``kind`` is one of the values of ``_PRIMITIVES``, "asset" or "any"."""

    kind: str


@dataclass(frozen=True)
class EnumType:
    values: tuple[str, ...]


@dataclass(frozen=True)
class ListType:
    item: "Type"


@dataclass(frozen=True)
class MapType:
    item: "Type"


@dataclass(frozen=True)
class ObjectType:
    """An Args class of the SDK, parsed when first needed."""

    module: Path
    name: str

    @cached_property
    def properties(self) -> dict[str, "Property"]:
        return _properties(self.module, self.name)


Type = PrimitiveType | EnumType | ListType | MapType | ObjectType


@dataclass(frozen=True)
class Property:
    """``name`` is the wire name. A ``required`` output is always present."""

    name: str
    type: Type
    required: bool
    documentation: str


@dataclass(frozen=True)
class ResourceSchema:
    """``inputs`` and ``outputs`` by wire name; ``documentation`` is that of the class."""

    token: str
    inputs: dict[str, Property]
    outputs: dict[str, Property]
    documentation: str


@cache
def resource(token: str) -> ResourceSchema:
    """The resource with the type ``token``. Raises SchemaError."""
    package, module, name = token.split(":")
    folder = _folder(package) / module.partition("/")[0]
    path = _defining(folder, name, token)
    definition = _definition(path, name)
    written = {one.name: one.documentation for one in _getters(path, definition)}
    inputs = {
        one.name: one if one.documentation else Property(one.name, one.type, one.required, written.get(one.name, ""))
        for one in _properties(path, _arguments(path, name)).values()
    }
    return ResourceSchema(
        token, inputs, {one.name: one for one in _getters(path, definition)}, _documentation(definition)
    )


@cache
def provider(package: str) -> dict[str, Property]:
    """The configuration properties of the provider of ``package``."""
    return _properties(_folder(package) / "provider.py", "ProviderArgs")


@cache
def function(token: str) -> tuple[dict[str, Property], tuple[str, ...]]:
    """Arguments of the function ``token``, and the names of its results."""
    package, module, name = token.split(":")
    path = _folder(package) / module.partition("/")[0] / f"{_snake(name)}.py"
    if not path.exists():
        raise SchemaError(f"The SDK has no function {token}.")
    tree = ast.parse(path.read_text())
    found = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == _snake(name))
    arguments = {
        _camel(one.arg): Property(_camel(one.arg), _type(path, one.annotation), False, "")
        for one in found.args.args
        if one.arg != "opts"
    }
    answer = _definition(path, f"{name[0].upper()}{name[1:]}Result")
    return arguments, tuple(one.name for one in _getters(path, answer))


def version(package: str) -> str:
    """The version of the installed SDK."""
    return importlib.metadata.version(PACKAGES[package])


@cache
def _folder(package: str) -> Path:
    if package not in PACKAGES:
        raise SchemaError(f"There is no stand-in for {package}.")
    distribution = importlib.metadata.distribution(PACKAGES[package])
    return Path(str(distribution.locate_file(PACKAGES[package])))


def _defining(folder: Path, name: str, token: str) -> Path:
    """The module that defines the resource class ``name``; usually named like it."""
    likely = [folder / f"{_snake(name)}.py"]
    for path in (*likely, *sorted(folder.glob("*.py"))):
        if (
            path.exists()
            and f"'{token}'," in _source(path)
            and f"\nclass {name}(pulumi.CustomResource):" in _source(path)
        ):
            return path
    raise SchemaError(f"The SDK has no resource {token}.")


def _arguments(path: Path, name: str) -> str:
    """The class of a resource's arguments; it has the longer name where a nested one took the plain name."""
    plain = f"{name}Args"
    return plain if f"\nclass {plain}:" in _source(path) else f"{name}InitArgs"


@cache
def _source(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def _definition(path: Path, name: str) -> ast.ClassDef:
    found = re.search(rf"^class {name}\b.*?(?=^\S|\Z)", _source(path), re.MULTILINE | re.DOTALL)
    if found is None:
        raise SchemaError(f"{path.parent.name}/{path.name} defines no {name}.")
    node = ast.parse(found[0]).body[0]
    if not isinstance(node, ast.ClassDef):
        raise SchemaError(f"{name} is not a class.")
    return node


def _documentation(definition: ast.ClassDef) -> str:
    """The longest documentation of the class's constructors: the overloads differ in it."""
    methods = [node for node in definition.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    return max((ast.get_docstring(node) or "" for node in methods), key=len, default="")


@cache
def _properties(path: Path, name: str) -> dict[str, Property]:
    definition = _definition(path, name)
    constructor = next(
        node for node in definition.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"
    )
    arguments = zip(constructor.args.kwonlyargs, constructor.args.kw_defaults, strict=True)
    required = {argument.arg: default is None for argument, default in arguments}
    return {
        one.name: Property(one.name, one.type, required[python], one.documentation)
        for python, one in _named_getters(path, definition)
        if python in required
    }


def _getters(path: Path, definition: ast.ClassDef) -> list[Property]:
    return [one for _, one in _named_getters(path, definition)]


def _named_getters(path: Path, definition: ast.ClassDef) -> Iterator[tuple[str, Property]]:
    """Python's name and the property, for each one that the class declares."""
    for node in definition.body:
        if not isinstance(node, ast.FunctionDef) or node.returns is None:
            continue
        for decorator in node.decorator_list:
            words = {}
            if isinstance(decorator, ast.Call):
                words = {word.arg: ast.literal_eval(word.value) for word in decorator.keywords}
                decorator = decorator.func
            if isinstance(decorator, ast.Attribute) and decorator.attr == "getter":
                written = ast.get_docstring(node) or ""
                kind = _listed(_type(path, node.returns), written)
                always = "Optional[" not in ast.unparse(node.returns)
                yield node.name, Property(str(words.get("name", node.name)), kind, always, written)


def _listed(kind: Type, documentation: str) -> Type:
    """GCP's SDK lists the values of a string in its documentation only."""
    found = _LISTED.search(documentation)
    if kind == PrimitiveType("string") and found is not None:
        return EnumType(tuple(re.findall(r"`([A-Za-z0-9_]+)`", found[1])))
    return kind


def _type(path: Path, node: ast.expr | None) -> Type:
    if isinstance(node, ast.Subscript):
        outer = node.value.attr if isinstance(node.value, ast.Attribute) else ast.unparse(node.value)
        inner = node.slice
        if outer in ("Input", "Output", "Optional"):
            return _type(path, inner)
        if outer == "Sequence":
            return ListType(_type(path, inner))
        if outer == "Mapping" and isinstance(inner, ast.Tuple):
            return MapType(_type(path, inner.elts[1]))
        if outer == "Union" and isinstance(inner, ast.Tuple):
            return _union([_type(path, one) for one in inner.elts])
    if isinstance(node, ast.Attribute):
        if node.attr in _PRIMITIVES:
            return PrimitiveType(_PRIMITIVES[node.attr])
        if node.attr in _ASSETS:
            return PrimitiveType("asset")
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _reference(path, node.value)
    if isinstance(node, ast.Name) and node.id == "Any":
        return PrimitiveType("any")
    raise SchemaError(f"{path.name}: unsupported type {'' if node is None else ast.unparse(node)}.")


def _union(members: list[Type]) -> Type:
    """The enum among the members, if any, otherwise the first member."""
    choices = [one for one in members if isinstance(one, EnumType)]
    return choices[0] if choices else members[0]


def _reference(path: Path, name: str) -> Type:
    module, _, name = name.rpartition(".")
    if module == "outputs":
        return PrimitiveType("any")
    folder = path.parent if not module else path.parents[1] / module.strip("_").removesuffix("_inputs").rstrip("_")
    if name in _OPEN:
        return PrimitiveType("string")
    if (folder / "_inputs.py").exists() and f"\nclass {name}:" in _source(folder / "_inputs.py"):
        return ObjectType(folder / "_inputs.py", name)
    if (folder / "_enums.py").exists() and f"\nclass {name}(" in _source(folder / "_enums.py"):
        definition = _definition(folder / "_enums.py", name)
        values = [ast.literal_eval(node.value) for node in definition.body if isinstance(node, ast.Assign)]
        return EnumType(tuple(str(value) for value in values))
    if name.endswith("Args") or not name[0].isupper():
        raise SchemaError(f"{path.name} names {name}, which its package does not define.")
    # A resource as an input of another one arrives as its id.
    return PrimitiveType("any")


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
