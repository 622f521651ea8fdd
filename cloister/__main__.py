"""The command ``cloister``, also as ``python -m cloister``."""

import sys

from cloister.errors import INTERRUPTED


def main() -> None:
    """Run the command line and end the process; Ctrl-C before a verb has begun prints one line."""
    try:
        from cloister.cli import collection
        from cloister.cli.shell.program import run

        run(collection())
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
