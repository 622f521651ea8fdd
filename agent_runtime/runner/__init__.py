"""The runner, a small root process, and the sandbox that it builds. Imports little but the standard library."""
