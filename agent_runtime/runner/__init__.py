"""The runner, a small root process, and the sandbox it builds. Standard library only."""
