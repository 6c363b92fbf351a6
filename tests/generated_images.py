"""A small, learnable set of images, and mirrors of it in every form."""

from __future__ import annotations

import io
import tarfile
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from perfsuite.records.workload import CIFAR10_CLASSES
from perfsuite.workloads.images import ImageSet, make_image_set

if TYPE_CHECKING:
    from pathlib import Path

COLORS = np.random.default_rng(0).integers(40, 215, (10, 3))


def generated_parts(num_train: int = 100, num_test: int = 40, seed: int = 0) -> dict[str, tuple[Any, Any]]:
    """Each class has a colour, with noise over it."""
    generator = np.random.default_rng(seed)
    parts = {}
    for split, num in (("train", num_train), ("test", num_test)):
        labels = np.arange(num) % 10
        noise = generator.integers(-30, 30, (num, 3, 32, 32))
        images = np.clip(COLORS[labels][:, :, None, None] + noise, 0, 255).astype(np.uint8)
        parts[split] = (images, labels.astype(np.uint8))
    return parts


def generated_set(num_train: int = 100, num_test: int = 40, seed: int = 0) -> ImageSet:
    return make_image_set(generated_parts(num_train, num_test, seed), source="generated")


def mirror_files(parts: dict[str, tuple[Any, Any]], *, numbers: bool = False, ending: str = "png") -> dict[str, bytes]:
    """Return the files of a mirror by their place in it."""
    files = {}
    for split, (images, labels) in parts.items():
        for index, (image, label) in enumerate(zip(images, labels, strict=True)):
            stream = io.BytesIO()
            Image.fromarray(image.transpose(1, 2, 0)).save(stream, "PNG" if ending == "png" else "JPEG")
            name = str(label) if numbers else CIFAR10_CLASSES[label]
            files[f"{split}/{name}/{index:04d}.{ending}"] = stream.getvalue()
    return files


def write_mirror(files: dict[str, bytes], path: Path, *, prefix: str = "") -> Path:
    """Write a folder, or an archive by the ending of the path."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(prefix + name, content)
    elif ".tar" in path.name:
        mode = {".gz": "w:gz", ".xz": "w:xz"}.get(path.suffix, "w")
        with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
            for name, content in files.items():
                info = tarfile.TarInfo(prefix + name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    else:
        for name, content in files.items():
            file = path / prefix / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    return path
