"""Runs a command of a page in a fork of the fork server: ``verb.py PROGRAM WORD...``.

A reader confirms at the terminal, which a test lacks: a verb that asks gets ``--yes``. A reader's machine is in a
cloud, that of a test is a local one: ``policy`` gets ``--allow-local``. The platform team's verbs get a project of the
test's own in place of the checkout's, which holds the stacks of the user, and an image whose disk holds nothing.
"""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from invoke.program import Program

PROJECT, IMAGE = "CLOISTER_TEST_PROJECT", "CLOISTER_TEST_IMAGE"
"""The folder of the test's Pulumi project, and the manifest of the image that its machines boot."""


def main(program: str, *words: str) -> None:
    """Run a verb and end the process."""
    from infra.live import workspaces
    from infra.registry import registries
    from tasks import namespace

    if project := os.environ.get(PROJECT):
        workspaces.PROJECT = replace(workspaces.PROJECT, folder=Path(project))
        registries.PROJECT = replace(registries.PROJECT, folder=Path(project) / "registry")
    sys.argv = [program, *answered(namespace if program == "invoke" else _party(), list(words))]
    if program == "cloister":
        from cloister import cli
        from cloister.cli.shell.program import run

        # A party has no checkout.
        cli.doctor._examine_checkout = None
        cli.try_._checkout = None
        run(_party())
        return
    Program(name="Invoke", binary="invoke", version="0", namespace=namespace).run(sys.argv)


def _party() -> Any:
    from cloister.cli import collection

    return collection()


def answered(namespace: Any, words: list[str]) -> list[str]:
    """The words, with ``--yes`` where the verb has that option and does not have it yet."""
    if not words or words[0].startswith("-"):
        return words
    known = {name: task for task, names in _tasks(namespace).items() for name in names}
    if words[0] not in known or "--help" in words:
        return words
    options = {one.name for one in known[words[0]].get_arguments()}
    added = ["--yes"] if "yes" in options and "--yes" not in words else []
    if words[0] == "workspace.new" and "--image" not in words and IMAGE in os.environ:
        added += ["--image", os.environ[IMAGE]]
    if words[0] == "policy" and "--from-evidence" not in words and "--allow-local" not in words:
        added.append("--allow-local")
    return [*words, *added]


def _tasks(namespace: Any) -> dict[Any, set[str]]:
    return {namespace[name]: {name, *aliases} for name, aliases in namespace.task_names.items()}


if __name__ == "__main__":
    main(*sys.argv[1:])
