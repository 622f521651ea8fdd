"""Packages that do not run in the guest, and others that do the same and run there."""

_HEADLESS = "the guest has no display"
_NO_GPU = "the guest has no GPU"

_BETTER = {
    "opencv-python": ("opencv-python-headless", _HEADLESS),
    "opencv-contrib-python": ("opencv-contrib-python-headless", _HEADLESS),
    "vtk": ("vtk-osmesa", _HEADLESS),
    "open3d": ("open3d-cpu", _HEADLESS),
    "psycopg2": ("psycopg2-binary", "it brings its libraries"),
    "mysqlclient": ("pymysql", "it needs no library"),
    "sklearn": ("scikit-learn", "that is the package's name"),
    "gdal": ("rasterio or pyogrio", "they bring their libraries"),
    "pygraphviz": ("pydot", "it needs no library"),
    "xgboost": ("xgboost-cpu", _NO_GPU),
    "tensorflow": ("tensorflow-cpu", _NO_GPU),
    "tensorflow-gpu": ("tensorflow-cpu", _NO_GPU),
    "onnxruntime-gpu": ("onnxruntime", _NO_GPU),
    "faiss-gpu": ("faiss-cpu", _NO_GPU),
    "faiss-gpu-cu12": ("faiss-cpu", _NO_GPU),
    "torch": ("torch of PyTorch's own index for CPUs", _NO_GPU),
    "torchvision": ("torchvision of PyTorch's own index for CPUs", _NO_GPU),
    "torchaudio": ("torchaudio of PyTorch's own index for CPUs", _NO_GPU),
    "cupy": ("numpy", _NO_GPU),
    "cupy-cuda11x": ("numpy", _NO_GPU),
    "cupy-cuda12x": ("numpy", _NO_GPU),
    "cupy-cuda13x": ("numpy", _NO_GPU),
    "dgl": ("torch-geometric", "it has no wheel for this Python"),
}
"""The better package and the reason, by normalised name."""


def package(name: str) -> str | None:
    """The package to take in place of the one of this normalised name; None if none is known."""
    return _BETTER[name][0] if name in _BETTER else None


def advice(name: str) -> str:
    """A sentence that recommends the better package; empty if none is known."""
    if name not in _BETTER:
        return ""
    better, reason = _BETTER[name]
    return f"Take {better} in place of {name}: {reason}."
