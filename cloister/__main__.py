"""The command ``cloister``, and ``python -m cloister`` where its script is not on the path."""

import sys

from cloister.errors import INTERRUPTED


def main() -> None:
    """Run the command line and end the process; Ctrl-C ends it in one line also before a verb has begun."""
    try:
        from cloister.cli.shell.program import run

        run()
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
