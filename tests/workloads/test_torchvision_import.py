from __future__ import annotations

import importlib
import subprocess
import sys
from typing import Any

import pytest

from perfsuite.errors import InstallationError
from perfsuite.workloads import torchvision_import
from perfsuite.workloads.torchvision_import import import_torchvision

MISMATCH = """
import sys
class HideExtension:
    def find_spec(self, name, path=None, target=None):
        if name in ("torchvision._C", "torchvision._C_stable"):
            raise ImportError("hidden")
sys.meta_path.insert(0, HideExtension())
import torchvision.extension as extension
"""


def test_torchvision_imports_here_whatever_its_operators_say() -> None:
    torchvision = import_torchvision()
    assert torchvision.models.resnet18 is not None
    assert import_torchvision() is torchvision


def test_missing_operators_are_declared_and_the_import_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def first_fails(name: str) -> object:
        calls.append(name)
        if len(calls) == 1:
            monkeypatch.setitem(sys.modules, "torchvision.half_imported", object())
            raise RuntimeError("operator torchvision::nms does not exist")
        return "torchvision"

    declared: list[bool] = []
    kept = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "torchvision"}
    monkeypatch.setattr(importlib, "import_module", first_fails)
    monkeypatch.setattr(torchvision_import, "_declare_operators", lambda: declared.append(True))
    try:
        result: Any = import_torchvision()
    finally:
        left = [name for name in sys.modules if name.partition(".")[0] == "torchvision"]
        sys.modules.update(kept)
    assert (result, declared, left) == ("torchvision", [True], [])


@pytest.mark.parametrize(
    ("error", "complaint"),
    [
        (RuntimeError("something else\nand more"), "does not import: something else$"),
        (ImportError("No module named 'torchvision'"), "install the release that fits torch"),
    ],
)
def test_other_failures_of_the_import_are_one_line(
    monkeypatch: pytest.MonkeyPatch, error: Exception, complaint: str
) -> None:
    def fail(_name: str) -> None:
        raise error

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(InstallationError, match=complaint):
        import_torchvision()


def test_the_operators_can_be_declared_in_a_process_of_their_own() -> None:
    """Declares them where nothing has been imported before, and imports torchvision on top."""
    code = (
        "from perfsuite.workloads import torchvision_import as t; import torch\n"
        "t._declare_operators()\n"
        "assert hasattr(torch.ops.torchvision, 'nms') and hasattr(torch.ops.torchvision, 'qnms')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
