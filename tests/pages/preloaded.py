"""Imports what verbs use, for the process whose forks run them."""

import importlib

import grpc
import yaml

import tasks
from cloister import client
from infra.live import members, workspaces

for _name in client._NAMES:
    importlib.import_module(_name)

__all__ = ["grpc", "members", "tasks", "workspaces", "yaml"]
