"""Full training: epochs over images that live on the device, evaluation, and the whole state for a checkpoint."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import nn

from perfsuite.errors import MeasurementError
from perfsuite.workloads.device_errors import is_out_of_memory
from perfsuite.workloads.device_images import DeviceImages, normalisation
from perfsuite.workloads.model_spec import classification_loss, tensors_in
from perfsuite.workloads.models import build_model_of
from perfsuite.workloads.optimizer import SkippedSteps, make_sgd, rounding_generator
from perfsuite.workloads.precision import autocast, cast_inputs, cast_outputs, policy_named
from perfsuite.workloads.ranks import ALONE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from perfsuite.records.predictions import Outcomes
    from perfsuite.records.workload import Recipe, Workload
    from perfsuite.workloads.images import ImageSet, Split
    from perfsuite.workloads.ranks import Ranks


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """How a network does on images it was not trained on.

    Attributes:
        loss: Mean cross-entropy.
        accuracy: Correct ones, as a ratio.
        outcomes: What was predicted for each image, in their order; see `predictions.Outcomes`.
    """

    loss: float
    accuracy: float
    outcomes: Outcomes


class Training:
    """A network while it is trained.

    Attributes:
        workload: Network, precision, memory format, gradients kept or freed.
        recipe: How.
        epoch: Epochs that are done.
        step: Steps of the next epoch that are done.
        resident_bytes: What the images hold of the device's memory.
        num_steps: Batches of an epoch.
        evaluation_batch: Images that are evaluated at once; halved where they do not fit.
        ranks: The processes that share it.
    """

    def __init__(
        self,
        workload: Workload,
        recipe: Recipe,
        images: ImageSet,
        split: Split,
        *,
        device: torch.device,
        seed: int,
        evaluation_batch: int | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        """Build everything; the same seed gives the same weights and the same order of the images.

        Args:
            workload: Network, precision, memory format, gradients kept or freed.
            recipe: How it is trained.
            images: The data set.
            split: Which of them.
            device: Where.
            seed: Of weights and order.
            evaluation_batch: Images that are evaluated at once; None for as many as are trained on at once.
            ranks: The processes that share each batch of the recipe; all of them build the same.
        """
        self.workload, self.recipe = workload, recipe
        self.policy = policy_named(workload.precision)
        self.model = build_model_of(workload, device=device, seed=seed)
        self._device, self._seed, self.ranks = device, seed, ranks
        self._network: Callable[[torch.Tensor], torch.Tensor] = ranks.spread(self.model, device)
        if workload.is_compiled:
            mode = None if workload.compile_mode == "default" else workload.compile_mode
            self._network = cast("Callable[[torch.Tensor], torch.Tensor]", torch.compile(self.model, mode=mode))
        self.optimizer = make_sgd(
            self.model,
            self.policy,
            device_type=device.type,
            learning_rate=recipe.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            seed=seed,
        )
        self._rounding = rounding_generator(self.optimizer)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.policy.loss_scaling)
        self._skipped = SkippedSteps(self.optimizer, device)
        scale, shift = normalisation(images.train_images, split.train)
        parts = {
            "train": (images.train_images, images.train_labels, split.train),
            "validation": (images.train_images, images.train_labels, split.validation),
            "test": (images.test_images, images.test_labels, split.test),
        }
        self._images = {
            name: DeviceImages(
                pixels[rows],
                labels[rows],
                device=device,
                memory_format=workload.memory_format,
                scale=scale,
                shift=shift,
            )
            for name, (pixels, labels, rows) in parts.items()
        }
        self.resident_bytes = sum(part.num_bytes for part in self._images.values())
        self.num_steps = -(-self._images["train"].num_images // recipe.batch_size)
        self._step_batch = -(-recipe.batch_size // ranks.world_size)
        self.evaluation_batch = self._step_batch if evaluation_batch is None else evaluation_batch
        self.epoch = 0
        self.step = 0
        self._losses = torch.zeros((), device=device)
        self._skipped_before = self._skipped.count.clone()

    @property
    def num_train(self) -> int:
        """Images of an epoch."""
        return self._images["train"].num_images

    def train_epoch(self, *, report_step: Callable[[int], None] = lambda _step: None) -> tuple[float, int]:
        """Train one epoch, or what is left of it; the host waits for the device once, at the end.

        Args:
            report_step: Told the number of each step when it has been asked for, not when it is done. It may save the
                state, of which the next epoch goes on with the next step.

        Returns:
            Mean loss of the training images, and how many steps the scaler skipped.

        Raises:
            MeasurementError: The loss is not finite.
        """
        learning_rate = self.recipe.learning_rate_at(self.epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        # Of seed and epoch alone, so that a resumed training goes on with the same order.
        generator = torch.Generator().manual_seed((self._seed << 20) + self.epoch)
        order = torch.randperm(self.num_train, generator=generator).to(self._device)
        if self.step == 0:
            self._losses = torch.zeros((), device=self._device)
            self._skipped_before = self._skipped.count.clone()
        self.model.train()
        batch_size, ranks = self.recipe.batch_size, self.ranks
        share = None if ranks.is_alone else ranks.share
        for images, labels in self._images["train"].batches(batch_size, order, first=self.step, share=share):
            num_all = min(batch_size, self.num_train - self.step * batch_size)
            part = ranks.share(num_all)
            num_own = part.stop - part.start
            # Gradients are averaged over the ranks: so weighted, that is the mean over the images of the whole batch.
            weight = ranks.world_size * num_own / num_all
            self._losses += self.train_batch(images, labels, weight) * num_own
            self.step += 1
            report_step(self.step - 1)
        self.epoch, self.step = self.epoch + 1, 0
        mean = ranks.total(float(self._losses)) / self.num_train
        if not np.isfinite(mean):
            raise MeasurementError(f"diverged: the training loss of epoch {self.epoch} is {mean}")
        return mean, int(float(self._skipped.count - self._skipped_before))

    def train_batch(self, images: torch.Tensor, labels: torch.Tensor, weight: float = 1.0) -> torch.Tensor:
        """Do one step and return its loss [] float32 on the device; nothing waits.

        Args:
            images: [n, 3, H, W] float32, normalised.
            labels: [n] int64.
            weight: What the loss is multiplied by for the gradients, not in what is returned.
        """
        self.optimizer.zero_grad(set_to_none=self.workload.gradients == "freed")
        with autocast(self.policy, self._device.type):
            outputs = self._network(cast_inputs(self.policy, images))
            loss = classification_loss(cast_outputs(self.policy, outputs), labels)
        weighted = loss if weight == 1 else loss * weight
        self.scaler.scale(weighted).backward()  # type: ignore[no-untyped-call]
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss.detach()

    def endless_batches(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield full training batches for ever, each epoch in an order of its own."""
        generator = torch.Generator().manual_seed(self._seed)
        while True:
            order = torch.randperm(self.num_train, generator=generator).to(self._device)
            for images, labels in self._images["train"].batches(self.recipe.batch_size, order):
                if len(labels) == self.recipe.batch_size:
                    yield images, labels

    def evaluate(self, part: str) -> Evaluation:
        """Evaluate on `validation` or `test`; gradients that the next step frees anyway are freed before."""
        if self.workload.gradients == "freed":
            self.optimizer.zero_grad(set_to_none=True)
        while True:
            try:
                return self._evaluate(self._images[part], self.evaluation_batch)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or self.evaluation_batch <= self._step_batch:
                    raise
            # Outside of the handler, whose traceback holds the tensors that are to be freed.
            self.evaluation_batch //= 2
            if self._device.type == "cuda":
                torch.cuda.empty_cache()  # cuDNN and the driver allocate outside of torch's cache

    def _evaluate(self, images: DeviceImages, batch_size: int) -> Evaluation:
        num_classes = self.workload.num_classes
        losses = torch.zeros((), device=self._device)
        outcomes = []
        self.model.eval()
        with torch.no_grad():
            for pixels, labels in images.batches(batch_size):
                with autocast(self.policy, self._device.type):
                    logits = next(tensors_in(self.model(cast_inputs(self.policy, pixels))))  # N K
                losses += nn.functional.cross_entropy(logits.float(), labels, reduction="sum")
                outcomes.append(num_classes * labels + logits.argmax(1))  # N
        found = torch.cat(outcomes).cpu().numpy()
        is_correct = found // num_classes == found % num_classes
        return Evaluation(
            loss=float(losses) / images.num_images,
            accuracy=float(is_correct.sum()) / images.num_images,
            outcomes=found,
        )

    @property
    def num_skipped_steps(self) -> int:
        """Steps that the scaler has skipped so far. Waits for the device."""
        return int(self._skipped.count)

    @property
    def loss_scale(self) -> float | None:
        """What the loss is multiplied by; None without loss scaling. Waits for the device."""
        return float(self.scaler.get_scale()) if self.policy.loss_scaling else None

    def state(self) -> dict[str, Any]:
        """Return everything that the next step depends on, in types that `weights_only` loading allows.

        All ranks wait for each other here, and return the same but for buffers, of which those of rank 0 count.
        """
        rounding = {} if self._rounding is None else {"rounding_rng": self._rounding.get_state()}
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "num_skipped": self._skipped.count,
            "epoch": self.epoch,
            "step": self.step,
            "losses": self._losses,
            "skipped_before": self._skipped_before,
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state(self._device) if self._device.type == "cuda" else None,
            **rounding,
            **self._state_of_ranks(),
        }

    def _state_of_ranks(self) -> dict[str, Any]:
        """Return what is each rank's own; nothing of a training that shares nothing."""
        if self.ranks.is_alone:
            return {}
        own = {"losses": self._losses.cpu(), "rng": torch.get_rng_state()}
        if self._device.type == "cuda":
            own["cuda_rng"] = torch.cuda.get_rng_state(self._device)
        return {"ranks": self.ranks.each(own)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from a state that `state` returned.

        Raises:
            KeyError, RuntimeError, ValueError: It is of another network or damaged.
        """
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.policy.loss_scaling:
            self.scaler.load_state_dict(state["scaler"])
        self._skipped.count.copy_(state["num_skipped"])
        self.epoch = int(state["epoch"])
        self.step = int(state.get("step", 0))  # checkpoints of older versions are of whole epochs
        if self.step:
            self._skipped_before.copy_(state["skipped_before"])
        own = state if self.ranks.is_alone else state["ranks"][self.ranks.rank]
        if self.step:
            self._losses.copy_(own["losses"])
        torch.set_rng_state(own["rng"].cpu())
        if self._device.type == "cuda" and own["cuda_rng"] is not None:
            torch.cuda.set_rng_state(own["cuda_rng"].cpu(), self._device)
        if self._rounding is not None:
            self._rounding.set_state(state["rounding_rng"].cpu())

    def weights_sha256(self) -> str:
        """Return a digest of parameters and buffers: sorted names, dtypes, shapes, bytes."""
        return _sha256(self.model.state_dict())

    def parameters_sha256(self) -> str:
        """Return a digest of the parameters alone, which all ranks of a training have in common."""
        return _sha256(dict(self.model.named_parameters()))

    def close(self) -> None:
        """Let go of everything on the device."""
        self.optimizer.zero_grad(set_to_none=True)
        self.optimizer.state.clear()
        self._images.clear()


def _sha256(tensors: Mapping[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        plain = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {plain.dtype} {tuple(plain.shape)}\n".encode())
        digest.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes())  # NumPy has no BF16
    return digest.hexdigest()


@contextlib.contextmanager
def deterministic(*, on: bool) -> Iterator[None]:
    """Have torch take only algorithms that give the same result every time, or any; put back what was set."""
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.deterministic,
    )
    try:
        torch.use_deterministic_algorithms(on)
        torch.backends.cudnn.deterministic = on
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.backends.cudnn.deterministic = before[2]
