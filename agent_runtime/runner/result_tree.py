"""Makes the results of a run readable for the agent, and says which of them cannot be accepted.

Runs as root on a tree that hostile code wrote, after its last process has ended. Each step uses the descriptor of the
current folder, so no link is followed. Standard library, and rules of the project that need nothing else.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from agent_runtime.limits import Limits
from agent_runtime.runner.protocol import RunOutcome
from cloister.protocol import names

PREFIX = "results/"
"""Paths of result files begin with this for the algorithm. In the result's zip they do not."""

_MAX_PROBLEMS = 10
_KINDS = {
    stat.S_IFLNK: "link",
    stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFBLK: "device",
    stat.S_IFCHR: "device",
}


class InvalidResults(Exception):
    """The results cannot be accepted. ``problems`` are sentences that name file and rule."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(" ".join(problems))
        self.problems = problems


def make_readable(folder: Path) -> tuple[int, int]:
    """Make a tree of results readable for all users. Returns its total bytes and its number of files.

    Raises InvalidResults for anything but files and folders, for names that break the rule of
    ``cloister.protocol.names``, and when they are too many.
    """
    walk = _ResultWalk()
    top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchmod(top, 0o755)
        walk.folder(top, PREFIX)
    finally:
        os.close(top)
    if walk.problems:
        raise InvalidResults(walk.problems)
    return walk.total, walk.files


def accept_results(folder: Path, limit: int) -> tuple[RunOutcome, str]:
    """Make the results readable. The outcome, and why it is not OK: sentences that name file and rule."""
    try:
        total, files = make_readable(folder)
    except InvalidResults as error:
        return RunOutcome.RESULT_INVALID, f"The result cannot be accepted: {' '.join(error.problems)}"
    if not files:
        return RunOutcome.NO_RESULT, "There is no file in results/."
    if total > limit:
        return RunOutcome.RESULT_LIMIT, f"The files in results/ have {total} bytes; results.max is {limit}."
    return RunOutcome.OK, ""


@dataclass
class _ResultWalk:
    """One walk through a tree of results. Problems are collected, and nothing below a refused folder is read."""

    limits: Limits = field(default_factory=Limits)
    total: int = 0
    entries: int = 0
    files: int = 0
    name_bytes: int = 0
    problems: list[str] = field(default_factory=list)

    def folder(self, descriptor: int, inside: str) -> None:
        """Walk an open folder. ``inside`` is its path with a final slash."""
        entries = sorted(self._names(descriptor))
        if (same := names.twins(entries)) is not None:
            one, other = (names.shown(inside + name) for name in same)
            self._refuse(f"{one} and {other} are the same name on some systems.")
        for name in entries:
            path = inside + name
            # This bounds the depth, too.
            if (why := names.path_problem(path)) is not None:
                self._refuse(f"{names.shown(path)} {why}.")
                continue
            if inside == PREFIX and names.in_proof_folder(name):
                self._refuse(f"{names.shown(path)} has the name of the folder of the result's proof; rename it.")
                continue
            # O_PATH: the mode that the algorithm set may allow neither reading nor writing.
            entry = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=descriptor)
            try:
                self._entry(entry, path)
            finally:
                os.close(entry)

    def _names(self, descriptor: int) -> Iterator[str]:
        """The names in an open folder: a folder on the scratch disk may have any number of them."""
        with os.scandir(descriptor) as found:
            for entry in found:
                self.entries += 1
                if self.entries > self.limits.result_entries:
                    most = self.limits.result_entries
                    problem = f"The result has more than {most} files and folders; pack them into one file."
                    raise InvalidResults([*self.problems, problem])
                yield entry.name

    def _entry(self, entry: int, path: str) -> None:
        found = os.fstat(entry)
        if stat.S_ISDIR(found.st_mode):
            _change_mode(entry, 0o755)
            inner = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=entry)
            try:
                self.folder(inner, f"{path}/")
            finally:
                os.close(inner)
        elif stat.S_ISREG(found.st_mode):
            _change_mode(entry, 0o444)
            self.total += found.st_size
            self.files += 1
            self.name_bytes += len(path.encode()) - len(PREFIX)
            self._check_number()
        else:
            kind = _KINDS.get(stat.S_IFMT(found.st_mode), "special file")
            self._refuse(f"{names.shown(path)} is a {kind}; a result has files and folders only.")

    def _check_number(self) -> None:
        files, size = self.limits.result_files, self.limits.result_names
        if self.files > files:
            raise InvalidResults([*self.problems, f"The result has more than {files} files; pack them into one."])
        if self.name_bytes > size:
            problem = f"The paths of the result's files have more than {size} bytes; pack them into one file."
            raise InvalidResults([*self.problems, problem])

    def _refuse(self, problem: str) -> None:
        self.problems.append(problem)
        if len(self.problems) >= _MAX_PROBLEMS:
            raise InvalidResults([*self.problems, "There may be more."])


def _change_mode(handle: int, mode: int) -> None:
    # fchmod(2) rejects an O_PATH descriptor. This path refers to the opened file, even if its name was reused.
    os.chmod(f"/proc/self/fd/{handle}", mode)
