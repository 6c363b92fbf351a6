"""Networks as users write them: sound ones, and ones that do what they must not."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from perfsuite.testing import Batch, InputSizes, ModelSpec


def sound(num_classes: int, image_size: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * image_size**2, 8), nn.ReLU(), nn.Linear(8, num_classes))


def raises() -> nn.Module:
    raise ValueError("no weights here\nin two lines")


def returns_nothing() -> None:
    return None


class _Head(nn.Module):
    """The mean of each channel, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 10)

    def forward(self, images: torch.Tensor) -> Any:
        return self.fc(images.mean(dim=(2, 3)))


class _Gated(_Head):
    def forward(self, images: torch.Tensor) -> Any:
        if images.mean().item() > 5:
            images = 2 * images
        return super().forward(images)


class _Gate(nn.Module):
    """A part of a network that asks the host in the middle of it."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = _Gated()

    def forward(self, images: torch.Tensor) -> Any:
        return self.gate(images)


def asks_the_host() -> nn.Module:
    return _Gate()


class _Similarity(_Head):
    """Compares each image of a batch with every other one: what it keeps grows with the square of the batch."""

    def forward(self, images: torch.Tensor) -> Any:
        flat = images.flatten(start_dim=1)
        similarity = torch.softmax(flat @ flat.T, dim=1)
        return super().forward(images) + similarity.sum()


def compares_all_images() -> nn.Module:
    return _Similarity()


class _NoTensor(_Head):
    def forward(self, images: torch.Tensor) -> Any:
        del images
        return "logits"


def returns_no_tensor() -> nn.Module:
    return _NoTensor()


class _Broken(_Head):
    def forward(self, images: torch.Tensor) -> Any:
        raise KeyError("weights" if images.numel() else "images")


def forward_raises() -> nn.Module:
    return _Broken()


class _OnlyFloat(_Head):
    """Uses an operation that has no kernel for 16 bits on a CPU."""

    def forward(self, images: torch.Tensor) -> Any:
        logits = super().forward(images)
        return logits + torch.cdist(logits, logits).mean()


def has_no_kernel_in_16_bits() -> nn.Module:
    return _OnlyFloat()


def drops_out() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 64), nn.Dropout(0.5), nn.Linear(64, 10))


def _head(_sizes: InputSizes) -> nn.Module:
    return _Head()


def _frozen(_sizes: InputSizes) -> nn.Module:
    return _Head().requires_grad_(requires_grad=False)


def _a_tensor(sizes: InputSizes, generator: torch.Generator) -> Any:
    return torch.randn(sizes.batch_size, 3, generator=generator)


def _batch_raises(_sizes: InputSizes, _generator: torch.Generator) -> Batch:
    raise OSError("no such data set")


def _sum_of_each(outputs: torch.Tensor, _targets: torch.Tensor) -> torch.Tensor:
    return outputs.sum(dim=1)


def _python_number(outputs: torch.Tensor, _targets: torch.Tensor) -> Any:
    return outputs.sum().item()


def _loss_raises(_outputs: torch.Tensor, _targets: torch.Tensor) -> torch.Tensor:
    raise RuntimeError("shapes do not fit")


loss_of_each_sample = ModelSpec(build=_head, loss=_sum_of_each)
loss_is_a_number = ModelSpec(build=_head, loss=_python_number)
loss_raises = ModelSpec(build=_head, loss=_loss_raises)
nothing_to_train = ModelSpec(build=_frozen)
batch_is_a_tensor = ModelSpec(build=_head, batch=_a_tensor)
batch_raises = ModelSpec(build=_head, batch=_batch_raises)
neither = 3


class _TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> tuple[torch.Tensor, str]:
        return self.layer(left + right), "and something else"


def _pair(sizes: InputSizes, generator: torch.Generator) -> Batch:
    left, right = (torch.randn(sizes.batch_size, 4, generator=generator) for _ in range(2))
    return Batch(inputs=(left, right), targets={"left": left})


def _pair_loss(outputs: tuple[torch.Tensor, str], targets: dict[str, torch.Tensor]) -> torch.Tensor:
    return nn.functional.mse_loss(outputs[0], targets["left"])


two_inputs = ModelSpec(build=lambda _sizes: _TwoInputs(), batch=_pair, loss=_pair_loss)
