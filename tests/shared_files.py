"""The folder ``shared/`` beside the checkout, where it exists: real evidence, and other inputs."""

from pathlib import Path

_SHARED = Path(__file__).resolve().parents[2] / "shared"
VECTORS = _SHARED / "vectors"
INPUTS = _SHARED / "inputs"
