"""Draws chest radiographs: schematic ones, with the signs by which people tell the three classes apart.

A picture is made of a body, two lungs, ribs, spine, heart and diaphragm, each of a slightly different place and size.
``COVID`` adds hazy patches in the outer and lower parts of both lungs, ``Viral Pneumonia`` streaks and dense patches
around the hilum, ``Normal`` neither. How strong they are varies, so some pictures are hard.

A :class:`Device` says what a hospital's machine makes of it: contrast, brightness, sharpness, noise, and a letter.
Nothing can be diagnosed by these pictures.
"""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

CLASSES = ("COVID", "Normal", "Viral Pneumonia")

Picture = NDArray[np.float64]
"""Brightness between 0 and 1, one row after the other."""


@dataclass(frozen=True)
class Device:
    """How a hospital's machine shows a chest."""

    contrast: float
    brightness: float
    blur: float
    """Radius, in hundredths of the picture's width."""

    noise: float
    tilt: float
    """Largest angle in degrees."""

    marker: str
    """The letter that the machine puts into a corner."""


DEVICES = {
    "h1": Device(contrast=1.0, brightness=0.0, blur=0.3, noise=0.03, tilt=2.0, marker="L"),
    "h2": Device(contrast=0.7, brightness=0.14, blur=1.2, noise=0.05, tilt=6.0, marker="AP"),
    "h3": Device(contrast=1.25, brightness=-0.08, blur=0.5, noise=0.07, tilt=4.0, marker="R"),
}


STRENGTHS = (0.4, 1.05)
"""How strong the signs of an illness are, at least and at most."""

CLEAR = (1.2, 1.3)
"""The same for pictures that leave no doubt."""


def draw(
    kind: str, device: Device, size: int, rng: np.random.Generator, strengths: tuple[float, float] = STRENGTHS
) -> bytes:
    """One picture of the class ``kind`` as PNG, ``size`` pixels wide and high."""
    # Drawn with a margin, which is cut off after the patient was tilted.
    margin = size // 12
    picture = _chest(kind, size + 2 * margin, rng, rng.uniform(*strengths))
    grey = Image.fromarray((np.clip(picture, 0, 1) * 255).astype(np.uint8))
    grey = grey.rotate(rng.uniform(-device.tilt, device.tilt), Image.Resampling.BILINEAR, fillcolor=10)
    grey = grey.crop((margin, margin, margin + size, margin + size)).filter(
        ImageFilter.GaussianBlur(device.blur * size / 100)
    )
    seen = np.asarray(grey, np.float64) / 255
    seen = (seen - 0.45) * device.contrast * rng.uniform(0.9, 1.1) + 0.45 + device.brightness
    seen += rng.normal(0, device.noise, seen.shape)
    final = Image.fromarray((np.clip(seen, 0, 1) * 255).astype(np.uint8))
    ImageDraw.Draw(final).text((size * 0.05, size * 0.03), device.marker, fill=235, font_size=size / 14)
    out = io.BytesIO()
    final.save(out, "PNG", optimize=False)
    return out.getvalue()


def _chest(kind: str, size: int, rng: np.random.Generator, strength: float) -> Picture:
    row, column = np.mgrid[0:size, 0:size] / size
    middle = 0.5 + rng.normal(0, 0.012)
    width, top, bottom = rng.uniform(0.15, 0.175), rng.uniform(0.17, 0.22), rng.uniform(0.74, 0.82)
    shoulder = 0.47 - 0.24 * np.exp(-((row / 0.16) ** 2))
    picture = 0.04 + 0.62 * _inside(shoulder - np.abs(column - middle), 0.025)

    lungs = np.zeros_like(picture)
    for side in (-1, 1):
        # Narrow at the top, wide at the diaphragm; the heart takes a part of the left lung.
        height = np.clip((row - top) / (bottom - top), 0, 1)
        half = width * (0.55 + 0.5 * height) * np.sqrt(np.clip(4 * height * (1.25 - height), 0, 1))
        centre = middle + side * (0.185 + 0.025 * height)
        lung = _inside(half - np.abs(column - centre), 0.018) * _inside(bottom - 0.05 * side - row, 0.02)
        lungs = np.maximum(lungs, lung * _inside(row - top, 0.03))
    picture -= 0.47 * lungs

    bend = 0.9 * (np.abs(column - middle) - 0.2) ** 2
    ribs = np.sin((row - bend * 3) * 2 * np.pi / rng.uniform(0.083, 0.092) + rng.uniform(0, 6))
    picture += 0.055 * np.clip(ribs, 0, 1) * _inside(0.4 - np.abs(column - middle), 0.03) * _inside(row - 0.12, 0.03)
    picture += 0.17 * _inside(0.035 - np.abs(column - middle), 0.012)
    heart = _blob(row, column, 0.63, middle + 0.065, rng.uniform(0.13, 0.155), rng.uniform(0.10, 0.13))
    picture += 0.32 * heart * lungs + 0.06 * heart
    for side in (-1, 1):
        picture += 0.12 * _blob(row, column, 0.46, middle + side * 0.085, 0.06, 0.03) * lungs
    found = strength * _signs(kind, row, column, middle, rng) * lungs
    return picture + found + 0.03 * _texture(size, 10, rng) * lungs


def _signs(kind: str, row: Picture, column: Picture, middle: float, rng: np.random.Generator) -> Picture:
    """What an illness of full strength adds to the lungs."""
    found = np.zeros_like(row)
    if kind == "COVID":
        for number in range(rng.integers(4, 8)):
            side = 1 if number % 2 else -1
            y, x = rng.uniform(0.45, 0.72), middle + side * rng.uniform(0.18, 0.27)
            found += 0.2 * _blob(row, column, y, x, rng.uniform(0.05, 0.1), rng.uniform(0.04, 0.08))
        found *= 1 + 0.25 * _texture(row.shape[0], 24, rng)
    elif kind == "Viral Pneumonia":
        for number in range(rng.integers(3, 6)):
            side = 1 if number % 2 else -1
            y, x = rng.uniform(0.36, 0.6), middle + side * rng.uniform(0.08, 0.16)
            found += 0.17 * _blob(row, column, y, x, rng.uniform(0.04, 0.08), rng.uniform(0.03, 0.06))
        distance = np.hypot(row - 0.48, np.abs(column - middle) - 0.08)
        angle = np.arctan2(row - 0.48, np.abs(column - middle) - 0.08)
        streaks = np.clip(np.sin(angle * rng.uniform(9, 14) + _texture(row.shape[0], 9, rng)), 0, 1)
        found += 0.22 * streaks * np.exp(-((distance / 0.17) ** 2))
    else:
        # Healthy lungs are not empty either: vessels, and a little haze.
        found += 0.05 * _blob(row, column, rng.uniform(0.4, 0.7), middle + rng.choice((-1, 1)) * 0.2, 0.12, 0.1)
    return found


def _inside(distance: Picture, edge: float) -> Picture:
    """1 where ``distance`` is positive, 0 where it is negative, with a soft edge."""
    return 0.5 * (1 + np.tanh(distance / edge))


def _blob(row: Picture, column: Picture, y: float, x: float, height: float, width: float) -> Picture:
    return np.exp(-(((row - y) / height) ** 2) - ((column - x) / width) ** 2)


def _texture(size: int, cells: int, rng: np.random.Generator) -> Picture:
    """A soft random pattern of about ``cells`` spots in each direction."""
    coarse = Image.fromarray(rng.normal(0, 1, (cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC), np.float64)
