"""The runner, a small root process, and the sandbox that it builds. Standard library only, except ``client``."""
