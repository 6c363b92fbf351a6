"""What is measured, and how a full training is done: the identity under which results are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfsuite.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PHASES = ("forward", "backward", "train_step")
"""Of a training step."""

INFERENCE = "inference"
"""The phase of a network that is only asked for its outputs."""

CALL = "call"
"""The phase of a callable that a user's own test measures; its network is whatever it calls."""

PHASE_COST = {INFERENCE: 1, "forward": 1, "backward": 2, "train_step": 3}
"""Of a phase, in forward passes: backward computes two products for each one of forward."""

NOT_COMPILED = "off"
COMPILE_MODES = (NOT_COMPILED, "default", "reduce-overhead", "max-autotune")
"""Whether and how a network goes through torch.compile. Source: PyTorch, `torch.compile`, argument `mode`."""

IMAGE_SIZE = 32
"""H and W of CIFAR-10 in pixels. Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009,
section 3.1."""

NUM_CLASSES = 10
"""K of CIFAR-10. The same source."""

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""Label 0 to 9 of CIFAR-10. The same source."""

MAX_CLASS_NAME = 100
"""Characters."""

MAX_SIZE = 2**31 - 1
"""Of batches, images and classes: more than there will ever be, and less than what arithmetic on them overflows at."""


def are_class_names(names: tuple[str, ...]) -> bool:
    """Whether these can name classes: printable, not too long, each another one."""
    is_right = all(name.isprintable() and 0 < len(name) <= MAX_CLASS_NAME for name in names)
    return is_right and len(set(names)) == len(names)


MIN_STRIDED_STEM_SIZE = 64
"""From this size of an image on, in pixels, a ResNet has torchvision's own stem (7x7, stride 2, max-pool), which is
made for 224: it leaves 16x16 of 64 pixels, half of what the CIFAR form keeps of its 32, and 1/16 of the work."""


def has_cifar_stem(image_size: int) -> bool:
    """Whether a ResNet for images of so many pixels has the stem of the CIFAR form."""
    return image_size < MIN_STRIDED_STEM_SIZE


def is_of_cifar10(image_size: int, num_classes: int) -> bool:
    """Whether images and classes are as those of CIFAR-10."""
    return (image_size, num_classes) == (IMAGE_SIZE, NUM_CLASSES)


def compile_in_words(mode: str) -> str:
    """Return a mode of `torch.compile` in words; nothing where the network is not compiled."""
    if mode == NOT_COMPILED:
        return ""
    return "compiled" if mode == "default" else f"compiled {mode}"


def rate_unit(model_digest: str, phase: str) -> str:
    """Return what a throughput is counted in: networks and callables of others may be fed with anything."""
    return "samples/s" if model_digest or phase == CALL else "images/s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What is measured: the identity under which results are compared.

    Attributes:
        model: Name of the network, `resnet18`.
        precision: Name of the precision policy, `amp-fp16`.
        phase: `forward`, `backward` or `train_step`; `inference`; or `call`.
        batch_size: N, samples in a batch.
        image_size: H and W in pixels.
        memory_format: `contiguous` (NCHW) or `channels_last` (NHWC).
        compile_mode: `off`, or the mode of `torch.compile` through which the network went.
        gradients: `freed` (set to None by zero_grad) or `kept` (zeroed in place).
        device_type: `cuda` or `cpu`.
        cudnn_benchmark: Whether cuDNN times its algorithms and takes the fastest, or takes what its heuristic says.
        num_classes: K, outputs of the network.
        cuda_graphs: Whether an iteration was captured once as a CUDA graph, and is replayed.
        model_digest: What distinguishes a network from others of its name; empty for those of the suite itself.
    """

    model: str
    precision: str
    phase: str
    batch_size: int
    image_size: int = IMAGE_SIZE
    memory_format: str = "contiguous"
    compile_mode: str = NOT_COMPILED
    gradients: str = "freed"
    device_type: str
    cudnn_benchmark: bool = False
    num_classes: int = NUM_CLASSES
    cuda_graphs: bool = False
    model_digest: str = ""

    def __post_init__(self) -> None:
        for name in ("batch_size", "image_size", "num_classes"):
            value = getattr(self, name)
            if not 1 <= value <= MAX_SIZE:
                raise RecordError(
                    f"{name.replace('_', ' ')} is {value!r:.40}, at least 1 is needed, at most {MAX_SIZE:,}"
                )

    @classmethod
    def with_todays_names(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Return the fields of a workload of any schema version with the names that they have today."""
        if "compiled" not in fields or "compile_mode" in fields:
            return fields
        is_compiled = fields["compiled"]
        if not isinstance(is_compiled, bool):
            raise RecordError(f"a workload's compiled is {is_compiled!r:.40}, a boolean is needed")
        return {**fields, "compile_mode": "default" if is_compiled else NOT_COMPILED}

    @property
    def is_compiled(self) -> bool:
        """Whether the network went through `torch.compile`."""
        return self.compile_mode != NOT_COMPILED

    @property
    def rate_unit(self) -> str:
        """What its throughput is counted in."""
        return rate_unit(self.model_digest, self.phase)

    @property
    def is_of_cifar10(self) -> bool:
        """Whether its images and classes are as those of CIFAR-10, which the thesis trained on."""
        return is_of_cifar10(self.image_size, self.num_classes)

    @property
    def label(self) -> str:
        """The workload in words, the defaults left out: `resnet18 amp-fp16 train_step b128`."""
        return label_of({name: getattr(self, name) for name in _LABEL_PARTS})


_LABEL_PARTS: dict[str, Callable[[Any], str]] = {
    "model": str,
    "precision": str,
    "phase": str,
    "batch_size": lambda size: f"b{size}",
    "image_size": lambda size: "" if size == IMAGE_SIZE else f"{size}px",
    "num_classes": lambda number: "" if number == NUM_CLASSES else f"{number} classes",
    "memory_format": lambda name: "" if name == "contiguous" else name,
    "compile_mode": compile_in_words,
    "gradients": lambda name: "" if name == "freed" else f"gradients {name}",
    "cudnn_benchmark": lambda is_on: "cudnn-benchmark" if is_on else "",
    "cuda_graphs": lambda is_on: "cuda-graphs" if is_on else "",
}
"""Parts of a label by their field; nothing where it is the default."""


def label_of(values: Mapping[str, Any]) -> str:
    """Return the label of a workload, or of as much of one as these fields say."""
    parts = [words(values[name]) for name, words in _LABEL_PARTS.items() if name in values]
    return " ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a full training is done.

    SGD with momentum, cross-entropy, no augmentation; after the warm-up the learning rate falls by a factor every so
    many epochs.

    Attributes:
        name: What it is called.
        epochs: Passes over the training images.
        batch_size: N, images in a batch; the last one of an epoch is smaller.
        learning_rate: Of the first epochs after the warm-up.
        decay_factor: What the learning rate is multiplied by ...
        decay_every_epochs: ... after so many epochs, each time.
        momentum: Of SGD.
        weight_decay: Of SGD.
        num_train: Images to train on; None for all that are not validated on.
        num_validation: Images to validate on; None for a tenth of the training images.
        num_test: Images to test on; None for all.
        target_accuracy: Validation accuracy whose time is taken, and test accuracy to be reached on CIFAR-10 itself
            less a tolerance, as a ratio; None if there is no target.
        source: Where the recipe stands.
        warmup_epochs: How many epochs the warm-up takes; 0 for none.
        warmup_factor: What the learning rate is multiplied by in them.
    """

    name: str
    epochs: int
    batch_size: int
    learning_rate: float
    decay_factor: float
    decay_every_epochs: int
    momentum: float
    weight_decay: float
    num_train: int | None
    num_validation: int | None
    num_test: int | None
    target_accuracy: float | None
    source: str
    warmup_epochs: int = 0
    warmup_factor: float = 1.0

    def learning_rate_at(self, epoch: int) -> float:
        """Return the learning rate of an epoch, counted from 0."""
        epochs_since_warmup = epoch - self.warmup_epochs
        if epochs_since_warmup < 0:
            return self.learning_rate * self.warmup_factor
        return self.learning_rate * self.decay_factor ** (epochs_since_warmup // self.decay_every_epochs)
