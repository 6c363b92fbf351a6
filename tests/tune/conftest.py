"""What tests of the search for hyperparameters share: a tiny network, few images, and the command with both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tuned_files import NETWORK, RECIPE, Files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="session")
def data_sets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    from generated_images import generated_parts

    from perfsuite.workloads.image_store import save_image_set
    from perfsuite.workloads.images import make_image_set

    folder = tmp_path_factory.mktemp("data")
    paths = (folder / "images.npz", folder / "permuted.npz")
    parts = generated_parts()
    pixels, labels = parts["test"]
    permuted = {**parts, "test": (pixels, np.random.default_rng(0).permutation(labels))}
    for path, content in zip(paths, (parts, permuted), strict=True):
        save_image_set(make_image_set(content, source="generated"), path)
    return paths


@pytest.fixture
def files(tmp_path: Path, data_sets: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Files:
    from perfsuite.measure import train

    # A dry run takes longer than these trainings.
    monkeypatch.setattr(train, "evaluation_batch_size", lambda _step: 8)
    recipe = tmp_path / "short.toml"
    recipe.write_text(RECIPE)
    return Files(images=data_sets[0], permuted=data_sets[1], recipe=recipe, folder=tmp_path)


@pytest.fixture
def arguments(files: Files) -> Callable[..., list[str]]:
    """Return the words of the command, with what the test changes by keyword; None leaves an option out."""

    def words(name: str = "study", **changes: Any) -> list[str]:
        options: dict[str, Any] = {
            "study": files.study(name),
            "model": NETWORK,
            "precisions": "fp32",
            "recipe": files.recipe,
            "trials": 4,
            "seeds": 0,
            "data": files.images,
            "device": "cpu",
            **changes,
        }
        found = ["tune"]
        for option, value in options.items():
            if value is not None:
                found += [f"--{option.replace('_', '-')}", str(value)]
        return found

    return words


@pytest.fixture
def tune(arguments: Callable[..., list[str]], files: Files) -> Callable[..., bytes]:
    """Run the command to its end, and return the bytes of the record of a search."""

    def run(name: str = "study", **changes: Any) -> bytes:
        from perfsuite.cli import main

        assert main(arguments(name, **changes)) == 0
        return (files.study(name) / "study.json").read_bytes()

    return run
