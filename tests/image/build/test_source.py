"""The image contains exactly the modules that the agent, the runner, the launcher and trials import."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from image.build import source
from image.errors import ImageError
from image.inputs import recipe
from image.inputs.parts import AgentRecipe

ROOMS = ("agent_runtime", "cloister")
ENTRIES = (
    "agent_runtime.__main__",
    "agent_runtime.runner.server",
    "agent_runtime.runner.launch",
    "agent_runtime.runner.pack",
    "agent_runtime.runner.kinds.wasm_host",
    "agent_runtime.runner.kinds.unpack_image",
    "agent_runtime.trial.main",
)


def path_of(module: str) -> Path | None:
    path = source.CHECKOUT.joinpath(*module.split("."))
    candidates = [path / "__init__.py", path.with_suffix(".py")]
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def imported(module: str) -> Iterator[str]:
    """The names that a module imports: modules, and names that might be modules."""
    path = path_of(module)
    assert path is not None
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def closure() -> set[str]:
    found: set[str] = set()
    pending = list(ENTRIES)
    while pending:
        module = pending.pop()
        if module in found or module.split(".")[0] not in ROOMS or path_of(module) is None:
            continue
        found.add(module)
        pending.extend(imported(module))
        pending.append(module.rpartition(".")[0] or module)
    return found


def test_the_recipe_names_exactly_what_the_agent_imports() -> None:
    assert sorted(recipe.load("base").recipe.agent.modules) == sorted(closure())


def test_data_files_of_the_agent_are_included() -> None:
    tree = source.agent(recipe.load("base").recipe.agent)

    assert "usr/lib/cloister/agent_runtime/runner/seccomp.json" in tree
    assert "usr/lib/cloister/cloister/protocol/schemas/manifest.schema.json" in tree


@pytest.mark.parametrize(
    ("agent", "named"),
    [
        (AgentRecipe(("cloister.nothing",)), r"cloister/nothing\.py"),
        (AgentRecipe(("cloister",), ("nothing.json",)), r"nothing\.json"),
        (AgentRecipe(("cloister",), ("image/../../secret",)), r"image/\.\./\.\./secret"),
        (AgentRecipe(("cloister",), ("../secret",)), r"\.\./secret"),
        (AgentRecipe(("cloister",), ("/etc/passwd",)), "/etc/passwd"),
        (AgentRecipe(("/etc/passwd",)), r"/etc/passwd\.py"),
    ],
)
def test_what_is_not_in_the_checkout_is_not_of_the_agent(agent: AgentRecipe, named: str) -> None:
    with pytest.raises(ImageError, match=f"names {named}, which the checkout does not have"):
        source.agent(agent)


def test_a_changed_byte_of_the_agent_changes_the_tree(tmp_path: Path) -> None:
    agent = AgentRecipe(("agent_runtime.one",))
    (tmp_path / "agent_runtime").mkdir()
    digests = []
    for text in ("x = 1\n", "x = 2\n"):
        (tmp_path / "agent_runtime/one.py").write_text(text)
        digests.append(source.agent(agent, tmp_path).digest())

    assert digests[0] != digests[1]
