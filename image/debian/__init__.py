"""Debian's archive and package format: releases, versions, dependencies, mirrors."""
