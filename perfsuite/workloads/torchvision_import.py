"""Lets torchvision's Python parts import with a torch that its compiled operators were not built for.

torchvision registers, at import, Python kernels for the operators `torchvision::nms` and `torchvision::qnms`. When its
compiled library does not load (a CPU torch from one index and torchvision from another, nightlies, source builds) these
operators do not exist and the import ends in `RuntimeError: operator torchvision::nms does not exist`. The networks
need none of these operators, so it is enough to declare them.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import torch

from perfsuite.errors import InstallationError
from perfsuite.formatting import first_line

_DECLARED: list[torch.library.Library] = []  # a declaration lives as long as its Library object


def import_torchvision() -> Any:
    """Import torchvision, declaring the operators that its Python code asks for where they are missing.

    Raises:
        InstallationError: torchvision is not installed, or fails to import for another reason.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise InstallationError(f"torchvision does not import: {first_line(error)}") from error
    except ImportError as error:
        raise InstallationError(
            f"torchvision does not import: {first_line(error)}; install the release that fits torch {torch.__version__}"
        ) from error
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]  # what a failed import leaves behind is only half there
    _declare_operators()
    return importlib.import_module("torchvision")


def _declare_operators() -> None:
    # Source of the schema: torchvision/csrc/ops/nms.cpp and quantized/cpu/qnms_kernel.cpp.
    library: Any = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _DECLARED.append(library)
