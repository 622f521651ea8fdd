"""The networks of the example, and pictures as they take them; used by ``train.py`` and ``predict.py``.

``resnet18`` is torchvision's, ``small`` has three convolutions for slow processors. Both take pictures of three
channels, of any size, and give one score a class.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

MODELS = ("resnet18", "small")


class InvalidModel(Exception):
    """A file of weights, or a model, cannot be used."""


def build(kind: str, classes: int, weights: Path | None = None) -> nn.Module:
    """A network of ``kind`` for ``classes`` classes: its weights are random, or those in the file ``weights``.

    The file has the state of torchvision's ResNet-18 for any number of classes; the last layer is always new. Raises
    InvalidModel.
    """
    if kind == "small":
        layers: list[nn.Module] = []
        channels = 3
        for following in (8, 16, 32):
            layers += [nn.Conv2d(channels, following, 3, padding=1), nn.BatchNorm2d(following), nn.ReLU()]
            layers += [nn.MaxPool2d(2)]
            channels = following
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
    # Imported late: the small network does without torchvision, whose import takes long on a slow processor.
    from torchvision.models import resnet18

    network = resnet18(weights=None)
    if weights is not None:
        state = read_state(weights)
        kept = {name: value for name, value in state.items() if not name.startswith("fc.")}
        try:
            found = network.load_state_dict(kept, strict=False)
        except (RuntimeError, AttributeError, TypeError) as error:
            raise InvalidModel(f"{weights} does not fit ResNet-18.") from error
        if found.unexpected_keys or set(found.missing_keys) != {"fc.weight", "fc.bias"}:
            raise InvalidModel(f"{weights} does not have the weights of ResNet-18.")
    network.fc = nn.Linear(network.fc.in_features, classes)
    return network


def read_state(path: Path) -> dict:
    """A dictionary that ``torch.save`` wrote. Nothing in the file is run. Raises InvalidModel."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InvalidModel(f"{path} does not exist.") from error
    except Exception as error:
        raise InvalidModel(f"{path} is not a file of PyTorch's weights.") from error
    if not isinstance(state, dict):
        raise InvalidModel(f"{path} is not a file of PyTorch's weights.")
    return state


def read_picture(path: Path, size: int) -> np.ndarray:
    """A picture in grey, ``size`` pixels wide and high: (size, size), bytes. Raises OSError if it is not a picture."""
    with Image.open(path) as picture:
        return np.array(picture.convert("L").resize((size, size), Image.Resampling.BILINEAR))


def as_input(pictures: np.ndarray) -> Tensor:
    """Pictures (n, size, size) as a network takes them: (n, 3, size, size), each of mean 0 and deviation 1."""
    grey = torch.from_numpy(pictures).to(torch.float32)
    grey = (grey - grey.mean(dim=(1, 2), keepdim=True)) / (grey.std(dim=(1, 2), keepdim=True) + 1)
    return grey[:, None].expand(-1, 3, -1, -1)
