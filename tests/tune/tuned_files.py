"""What tests of the search for hyperparameters tune: a tiny network, a short recipe, few images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

NETWORK = f"{Path(__file__).parents[1] / 'own_networks.py'}:sound"

RECIPE = """
epochs = 3
batch_size = 8
learning_rate = 0.02
num_train = 60
num_validation = 30
num_test = 30
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """What a test tunes with.

    Attributes:
        images: A data set.
        permuted: The same, the labels of its test images permuted.
        recipe: A short recipe.
        folder: For all else.
    """

    images: Path
    permuted: Path
    recipe: Path
    folder: Path

    def study(self, name: str = "study") -> Path:
        return self.folder / name
