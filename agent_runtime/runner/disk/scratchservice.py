"""Answers the agent's requests about the scratch disk. Part of the runner, which is root. Standard library only."""

import json
import os
import threading
from typing import Any

from agent_runtime.runner.disk import scratchdisk
from agent_runtime.runner.disk.scratchdisk import ScratchDisk, ScratchError
from agent_runtime.runner.disk.scratchrun import UPLOADED
from agent_runtime.runner.protocol import RunnerOperation, ScratchRequest


class ScratchService:
    """The scratch disk at the agent's service. ``user`` may write the volume of uploaded assets."""

    def __init__(self, user: int) -> None:
        self.disk = ScratchDisk()
        self._user = user
        self._lock = threading.Lock()

    def answer(self, request: ScratchRequest | RunnerOperation) -> bytes:
        """Do what is asked; one line of JSON: ``size`` or ``device``, or ``error`` with a sentence."""
        with self._lock:
            try:
                found = self._answer(request)
            except OSError as error:
                own = isinstance(error, ScratchError)
                found = {"error": error.strerror if own else f"The scratch disk failed: {error.strerror}."}
        return json.dumps(found).encode() + b"\n"

    def _answer(self, request: ScratchRequest | RunnerOperation) -> dict[str, Any]:
        if not isinstance(request, ScratchRequest):
            self.disk.close()
            return {"size": 0}
        if request.operation is RunnerOperation.OPEN_SCRATCH:
            self.disk.open(scratchdisk.find(), request.size)
            return {"size": self.disk.size}
        volume = self.disk.volume(UPLOADED, 0, request.size)
        os.chown(volume.path, self._user, 0)
        volume.path.chmod(0o600)
        return {"device": str(volume.path)}
