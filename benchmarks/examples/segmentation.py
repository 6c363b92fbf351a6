"""Semantic segmentation: torchvision's FCN and DeepLabV3 with ResNet-50, pixel cross-entropy, mean IoU.

    pytest benchmarks -m step --perf-models=benchmarks/examples/segmentation.py:fcn_resnet50 --perf-batch-size=2
    perfsuite memory --model benchmarks/examples/segmentation.py:fcn_resnet50 --gpu t4
    python benchmarks/examples/segmentation.py             # a smoke training on generated images

Source of the loss: torchvision, references/segmentation/train.py (the auxiliary head counts half). Of the number of
classes: PASCAL VOC, 20 and the background; M. Everingham et al., IJCV 2010.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from perfsuite.testing import Batch, InputSizes, ModelSpec
from perfsuite.workloads.torchvision_import import import_torchvision

if TYPE_CHECKING:
    from collections.abc import Callable

AUXILIARY_WEIGHT = 0.5
IMAGE_SIZE, NUM_CLASSES = 224, 21


def _builder(name: str) -> Callable[[InputSizes], nn.Module]:
    def build(sizes: InputSizes) -> nn.Module:
        constructor = getattr(import_torchvision().models.segmentation, name)
        model: nn.Module = constructor(
            weights=None, weights_backbone=None, num_classes=sizes.num_classes, aux_loss=True
        )
        return model

    return build


def pixel_batch(sizes: InputSizes, generator: torch.Generator) -> Batch:
    """Return random images and a class for each pixel.

    Returns:
        Inputs [N, 3, H, W] float32, targets [N, H, W] int64.
    """
    shape = (sizes.batch_size, sizes.image_size, sizes.image_size)
    images = torch.randn(shape[0], 3, *shape[1:], generator=generator)  # N C H W
    return Batch(inputs=images, targets=torch.randint(sizes.num_classes, shape, generator=generator))  # N H W


def pixel_cross_entropy(outputs: dict[str, torch.Tensor], targets: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy over all pixels, of both heads where there are two.

    Args:
        outputs: `out` [N, K, H, W], and of the auxiliary head `aux`.
        targets: [N, H, W] int64.
    """
    loss = nn.functional.cross_entropy(outputs["out"], targets)
    if "aux" in outputs:
        loss = loss + AUXILIARY_WEIGHT * nn.functional.cross_entropy(outputs["aux"], targets)
    return loss


def _spec(name: str) -> ModelSpec:
    return ModelSpec(
        build=_builder(name),
        batch=pixel_batch,
        loss=pixel_cross_entropy,
        image_size=IMAGE_SIZE,
        num_classes=NUM_CLASSES,
    )


fcn_resnet50 = _spec("fcn_resnet50")
deeplabv3_resnet50 = _spec("deeplabv3_resnet50")


def mean_iou(predicted: torch.Tensor, targets: torch.Tensor, num_classes: int) -> float:
    """Return intersection over union, the mean over the classes that are in either.

    Args:
        predicted: [N, H, W] int64, classes.
        targets: The same.
        num_classes: K.
    """
    pairs = torch.bincount((num_classes * targets + predicted).flatten(), minlength=num_classes**2)
    confusion = pairs.view(num_classes, num_classes)  # K K: true class, predicted class
    intersection = confusion.diag()
    union = confusion.sum(0) + confusion.sum(1) - intersection
    present = union > 0
    return float((intersection[present] / union[present]).mean())


def generated_shapes(num_images: int, size: int, generator: torch.Generator) -> Batch:
    """Return noisy images of a disc and of a square on a background, and the class of each pixel: 0, 1 or 2."""
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    targets = torch.zeros(num_images, size, size, dtype=torch.int64)
    for target in targets:
        for kind in (1, 2):
            radius = int(torch.randint(size // 8, size // 4, (), generator=generator))
            row, column = torch.randint(radius, size - radius, (2,), generator=generator).tolist()
            across, down = (rows - row).abs(), (columns - column).abs()
            inside = across**2 + down**2 < radius**2 if kind == 1 else torch.maximum(across, down) < radius
            target[inside] = kind
    colors = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.2, 0.0], [0.0, 0.2, 1.0]])  # K C
    images = colors[targets].permute(0, 3, 1, 2) + 0.5 * torch.randn(num_images, 3, size, size, generator=generator)
    return Batch(inputs=images, targets=targets)


def train_on_shapes(
    *, steps: int, batch_size: int, size: int, say: Callable[[str], object], amp: bool = False, seed: int = 0
) -> float:
    """Train an FCN on generated images on the CPU, and return its mean IoU on images that it has not seen."""
    num_classes = 3
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    model = fcn_resnet50.build(InputSizes(batch_size=batch_size, image_size=size, num_classes=num_classes))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    for step in range(steps):
        batch = generated_shapes(batch_size, size, generator)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=amp):
            loss = pixel_cross_entropy(model(batch.inputs), batch.targets)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if (step + 1) % 10 == 0:
            say(f"step {step + 1} of {steps}: loss {loss.item():.3f}")
    test = generated_shapes(32, size, torch.Generator().manual_seed(seed + 1))
    model.eval()
    with torch.no_grad():
        predicted = torch.cat([model(part)["out"].argmax(1) for part in test.inputs.split(8)])
    return mean_iou(predicted, test.targets, num_classes)


def _main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description="Train an FCN on generated images of discs and squares.")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--amp", action="store_true", help="autocast to BF16")
    options: Any = parser.parse_args(arguments)
    sizes = {"batch_size": options.batch_size, "size": options.image_size}
    found = train_on_shapes(steps=options.steps, say=_say, amp=options.amp, **sizes)
    test = generated_shapes(32, options.image_size, torch.Generator().manual_seed(1))
    background = mean_iou(torch.zeros_like(test.targets), test.targets, 3)
    _say(f"mean IoU {found:.3f} on images that it has not seen; all background would be {background:.3f}")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _main(sys.argv[1:])
