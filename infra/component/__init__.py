"""The component ``cloister:index:Workspace``: a workspace in this project's program, or in a team's own.

For a team's own program, ``python -m infra.component`` serves it as a plugin. A plugin, because it works from every
language, and because the program cannot leave out what happens in another process: the parser and the guard.
"""
