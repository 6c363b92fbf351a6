"""An example data set as class folders: shapes of different sizes, with a different number of images per class.

python benchmarks/examples/shapes.py FOLDER writes FOLDER/{train,val}/<class>/NNN.png.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SEED = 0
NUM_TRAIN, NUM_VALIDATION = 120, 40
"""Images of the first class; every further class has five fewer to train on."""

Draw = Callable[[ImageDraw.ImageDraw, float, float, float, tuple[int, ...]], None]
"""Draws a shape around x and y, from there so many pixels to each side, in this colour."""


def disc(image: ImageDraw.ImageDraw, x: float, y: float, reach: float, color: tuple[int, ...]) -> None:
    """Draw a filled circle."""
    image.ellipse((x - reach, y - reach, x + reach, y + reach), fill=color)


def ring(image: ImageDraw.ImageDraw, x: float, y: float, reach: float, color: tuple[int, ...]) -> None:
    """Draw a circle with a hole."""
    image.ellipse((x - reach, y - reach, x + reach, y + reach), outline=color, width=round(reach / 3))


def square(image: ImageDraw.ImageDraw, x: float, y: float, reach: float, color: tuple[int, ...]) -> None:
    """Draw a filled square."""
    image.rectangle((x - reach, y - reach, x + reach, y + reach), fill=color)


def triangle(image: ImageDraw.ImageDraw, x: float, y: float, reach: float, color: tuple[int, ...]) -> None:
    """Draw a triangle that stands on its side."""
    image.polygon([(x, y - reach), (x - reach, y + reach), (x + reach, y + reach)], fill=color)


def stripes(image: ImageDraw.ImageDraw, x: float, y: float, reach: float, color: tuple[int, ...]) -> None:
    """Draw three upright bars."""
    for left in (-1.0, -0.2, 0.6):
        image.rectangle((x + left * reach, y - reach, x + (left + 0.4) * reach, y + reach), fill=color)


CLASSES: dict[str, Draw] = {"disc": disc, "ring": ring, "square": square, "stripes": stripes, "triangle": triangle}


def image_with(draw: Draw, generator: np.random.Generator) -> Image.Image:
    """Return an image of 50 to 120 pixels a side: something light near the middle of something dark."""
    width, height = generator.integers(50, 121, 2).tolist()
    image = Image.new("RGB", (width, height), tuple(generator.integers(0, 90, 3).tolist()))
    reach = min(width, height) * generator.uniform(0.25, 0.42)
    x, y = width / 2 + generator.uniform(-4, 4), height / 2 + generator.uniform(-4, 4)
    draw(ImageDraw.Draw(image), x, y, reach, tuple(generator.integers(130, 256, 3).tolist()))
    return image


def write(folder: Path) -> None:
    """Write the class folders."""
    generator = np.random.default_rng(SEED)
    for label, (name, draw) in enumerate(CLASSES.items()):
        for part, num_images in (("train", NUM_TRAIN - 5 * label), ("val", NUM_VALIDATION)):
            place = folder / part / name
            place.mkdir(parents=True, exist_ok=True)
            for index in range(num_images):
                image_with(draw, generator).save(place / f"{index:03d}.png")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):  # noqa: PLR2004 - the script and its argument
        sys.exit("usage: python benchmarks/examples/shapes.py FOLDER")
    write(Path(sys.argv[1]))
