"""The original CIFAR-10, through torchvision: its MD5 sums are checked before anything of it is unpickled."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.errors import DataError
from perfsuite.workloads.canonical import keep_canonical_fingerprint
from perfsuite.workloads.images import ImageSet, make_image_set
from perfsuite.workloads.torchvision_import import import_torchvision

if TYPE_CHECKING:
    from pathlib import Path


def download_images(root: Path | None = None) -> ImageSet:
    """Download CIFAR-10, or take what torchvision has downloaded before; keep its fingerprint.

    Args:
        root: torchvision's folder for data sets; None for a temporary one.

    Raises:
        DataError: There is no way to the server, or what came is not what was published.
    """
    datasets: Any = import_torchvision().datasets
    with tempfile.TemporaryDirectory(prefix="perfsuite-") as temporary:
        folder = temporary if root is None else str(root)
        parts = {}
        for split in ("train", "test"):
            try:
                found = datasets.CIFAR10(folder, train=split == "train", download=root is None)
            except (RuntimeError, OSError) as error:
                reason = str(error).strip().partition("\n")[0][:120]
                raise DataError(
                    f"CIFAR-10 cannot be {'downloaded' if root is None else f'read from {root}'}: {reason}; without a "
                    "network use `perfsuite data import PATH` with class folders"
                ) from None
            # torchvision has checked every file against the MD5 sums in its source before it unpickled them.
            parts[split] = (found.data.transpose(0, 3, 1, 2), np.array(found.targets, np.uint8))
    found = make_image_set(parts, is_canonical=True, source="downloaded by torchvision")
    keep_canonical_fingerprint(found.fingerprint)
    return found
