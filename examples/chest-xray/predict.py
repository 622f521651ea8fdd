"""Predict the class of radiographs: ``python predict.py --model results/model.pth --image test/COVID/COVID-2.png``.

Runs at the consumer; needs torch, torchvision (for ResNet-18) and pillow, and ``network.py`` beside it. Prints the
class of each picture and saves the picture with it to ``./results/prediction_<name of the picture>``.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from network import MODELS, InvalidModel, as_input, build, read_picture, read_state
from PIL import Image, ImageDraw
from torch import nn

RESULTS = Path("results")
_SIDE = 512
_LINE = 40


def load(path: Path) -> tuple[nn.Module, int, list[str]]:
    """The network of a model, the size of its pictures, and its classes. Raises InvalidModel."""
    model = read_state(path)
    kind, size, classes = model.get("kind"), model.get("size"), model.get("classes")
    if kind not in MODELS or not isinstance(size, int) or not isinstance(classes, list) or not 0 < size <= 4096:
        raise InvalidModel(f"{path} is not a model of train.py.")
    network = build(kind, len(classes))
    try:
        network.load_state_dict(model["state"])
    except (KeyError, RuntimeError, TypeError, AttributeError) as error:
        raise InvalidModel(f"{path} is not a model of train.py.") from error
    return network.eval(), size, [str(name) for name in classes]


def probabilities(network: nn.Module, picture: np.ndarray) -> list[float]:
    """The probability of each class."""
    with torch.no_grad():
        return torch.softmax(network(as_input(picture[None])), dim=1)[0].tolist()


def draw(image: Path, classes: list[str], chances: list[float]) -> Image.Image:
    """The picture with the predicted class above it and all probabilities below."""
    with Image.open(image) as source:
        picture = source.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    best = int(np.argmax(chances))
    canvas = Image.new("RGB", (_SIDE, _SIDE + _LINE * (len(classes) + 1) + 24), "white")
    canvas.paste(picture, (0, _LINE + 12))
    pen = ImageDraw.Draw(canvas)
    pen.text((_SIDE / 2, _LINE / 2 + 6), f"predicted: {classes[best]}", "black", anchor="mm", font_size=24)
    for number, (name, chance) in enumerate(zip(classes, chances, strict=True)):
        top = _SIDE + _LINE * (number + 1) + 18
        colour = "#1f5fa8" if number == best else "#9db7d5"
        pen.text((12, top + _LINE / 2), name, "black", anchor="lm", font_size=18)
        pen.rectangle((170, top + 8, 170 + 270 * chance, top + _LINE - 8), fill=colour)
        pen.text((180 + 270 * chance, top + _LINE / 2), f"{chance:.1%}", "black", anchor="lm", font_size=16)
    return canvas


def main(argv: list[str] | None = None) -> int:
    """Predict each picture. Returns 0, or 2 after one sentence on standard error if a file is invalid."""
    parser = argparse.ArgumentParser(description="Predict the class of radiographs with the model of train.py.")
    parser.add_argument("--model", type=Path, required=True, help="model.pth from the result")
    parser.add_argument("--image", type=Path, required=True, nargs="+", help="one picture or several")
    options = parser.parse_args(argv)
    try:
        network, size, classes = load(options.model)
        for image in options.image:
            chances = probabilities(network, read_picture(image, size))
            RESULTS.mkdir(exist_ok=True)
            target = RESULTS / f"prediction_{image.stem}.png"
            draw(image, classes, chances).save(target)
            print(f"The predicted class for the image is: {classes[int(np.argmax(chances))]}")
            print(f"Image with prediction saved to ./{target}")
    except InvalidModel as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{error.filename or 'The picture'} cannot be read: {error.strerror or error}.", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
