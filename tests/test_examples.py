"""The examples of other networks: what they compute, and a smoke training."""

from __future__ import annotations

import importlib.util
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from perfsuite.analysis.frames.results import collect
from perfsuite.workloads.torchvision_import import import_torchvision

EXAMPLES = Path(__file__).parents[1] / "benchmarks" / "examples"


@pytest.fixture(scope="module")
def segmentation() -> Any:
    origin = importlib.util.spec_from_file_location("example_of_segmentation", EXAMPLES / "segmentation.py")
    assert origin is not None
    assert origin.loader is not None
    module = importlib.util.module_from_spec(origin)
    sys.modules[origin.name] = module
    origin.loader.exec_module(module)
    return module


def test_mean_iou_is_what_sets_of_pixels_give(segmentation: Any) -> None:
    """Counts pixels class by class in numpy; a class that is nowhere does not count."""
    random = np.random.default_rng(0)
    predicted, targets = random.integers(0, 3, (2, 4, 5, 6))
    expected = []
    for label in range(4):
        found, true = predicted == label, targets == label
        if (found | true).any():
            expected.append((found & true).sum() / (found | true).sum())
    found = segmentation.mean_iou(torch.from_numpy(predicted), torch.from_numpy(targets), 4)
    assert len(expected) == 3
    assert found == pytest.approx(np.mean(expected))


def test_pixel_cross_entropy_is_that_of_every_pixel_and_the_auxiliary_head_counts_half(segmentation: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    logits, auxiliary = (torch.randn(2, 3, 4, 4, generator=generator) for _ in range(2))  # N K H W
    targets = torch.randint(3, (2, 4, 4), generator=generator)

    def by_hand(scores: torch.Tensor) -> float:
        values = scores.double().numpy()
        exponentials = np.exp(values)
        shares = exponentials / exponentials.sum(axis=1, keepdims=True)
        picked = np.take_along_axis(shares, targets.numpy()[:, None], axis=1)
        return float(-np.log(picked).mean())

    loss = segmentation.pixel_cross_entropy({"out": logits, "aux": auxiliary}, targets)
    assert float(loss) == pytest.approx(by_hand(logits) + 0.5 * by_hand(auxiliary), rel=1e-5)


def test_generated_images_show_what_their_targets_say(segmentation: Any) -> None:
    batch = segmentation.generated_shapes(4, 32, torch.Generator().manual_seed(0))
    assert (tuple(batch.inputs.shape), tuple(batch.targets.shape)) == ((4, 3, 32, 32), (4, 32, 32))
    assert set(batch.targets.unique().tolist()) == {0, 1, 2}
    red, blue = batch.inputs[:, 0], batch.inputs[:, 2]
    assert red[batch.targets == 1].mean() > 0.8 > red[batch.targets == 2].mean()
    assert blue[batch.targets == 2].mean() > 0.8 > blue[batch.targets == 1].mean()


def test_a_smoke_training_lowers_the_loss(segmentation: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty steps are too few to segment, and enough to be far below three classes at random: 1.5 ln 3 = 1.65.

    The backbone has one block where ResNet-50 has three to six, as wide; that one is run in plugin/test_own_networks.
    """
    networks = import_torchvision().models
    resnet = networks.resnet

    def shallow(*, weights: None, replace_stride_with_dilation: list[bool]) -> torch.nn.Module:
        assert weights is None
        layers = [1, 1, 1, 1]
        found: torch.nn.Module = resnet.ResNet(
            resnet.Bottleneck, layers, replace_stride_with_dilation=replace_stride_with_dilation
        )
        return found

    monkeypatch.setattr(networks.segmentation.fcn, "resnet50", shallow)
    lines: list[str] = []
    segmentation.train_on_shapes(steps=20, batch_size=4, size=32, say=lines.append)
    assert [line.partition(":")[0] for line in lines] == ["step 10 of 20", "step 20 of 20"]
    assert float(lines[-1].rpartition(" ")[2]) < 1.3


def commands_of_the_page(heading: str) -> list[list[str]]:
    """Return the commands in the block below a heading of the page of examples."""
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2]
    block = page.partition("```sh\n")[2].partition("```")[0]
    return [shlex.split(line) for line in block.splitlines()]


def test_the_other_data_set_of_the_page_is_written_imported_and_learnt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs the three commands of the page as they stand, in FP32 alone, from a folder of its own."""
    for name in ("benchmarks", "perfsuite", "conftest.py", "tox.ini", "pyproject.toml"):
        (tmp_path / name).symlink_to(EXAMPLES.parents[1] / name)
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES.parents[1]))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    programs = {"python": [], "perfsuite": ["-m", "perfsuite"], "pytest": ["-m", "pytest"]}
    options = ["--perf-precisions=fp32", "--perf-device=cpu", "--benchmark-json=result.json"]
    commands = commands_of_the_page("Another data set")
    assert [command[0] for command in commands] == list(programs)
    for program, *arguments in commands:
        more = options if program == "pytest" else []
        line = [sys.executable, *programs[program], *arguments, *more]
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
    (training,) = collect([tmp_path / "result.json"]).trainings
    record = training.record
    assert (record.workload.model, record.workload.image_size, record.data.num_test) == (
        "mine.py:small_network",
        32,
        200,
    )
    assert record.data.classes == ("disc", "ring", "square", "stripes", "triangle")
    assert record.test_accuracy > 0.73
