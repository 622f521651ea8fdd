"""``python -m cloister``: the command ``cloister`` where its script is not on the path."""

from cloister.cli.program import run

run()
