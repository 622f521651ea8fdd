"""Debian's archive and packages: mirrors, signed releases, versions, dependencies, .deb files."""
