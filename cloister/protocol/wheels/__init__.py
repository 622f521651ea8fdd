"""Rules of wheels and bundles: what ``bundle`` accepts is what the launcher installs.

The launcher imports this package in the sandbox, so it needs the standard library only.
"""
