"""Texts of users -> values, or one line that says what is allowed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from perfsuite.errors import InvalidChoiceError
from perfsuite.formatting import GIB_BYTES, MIB_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")


def choose(table: Mapping[str, T], name: str, *, kind: str) -> T:
    """Pick an entry by name.

    Args:
        table: The entries by name.
        name: What the user asked for.
        kind: What the entries are, in the singular, for the message.

    Raises:
        InvalidChoiceError: `name` is not in `table`; the message lists what is.
    """
    try:
        return table[name]
    except KeyError:
        raise InvalidChoiceError(f"unknown {kind} {name!r}; choose from {', '.join(sorted(table))}") from None


def require_device_name(option: str, name: str) -> None:
    """Check that an option names a device, whether or not it is there.

    Raises:
        InvalidChoiceError: It does not; the message names the option.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,3})?", name):
        raise InvalidChoiceError(f"{option}: unknown device {name[:20]!r}; choose from auto, cuda, cuda:N, cpu")


def split_names(option: str, value: str) -> tuple[str, ...]:
    """Return the names of a comma-separated option, each once, in their order.

    Raises:
        InvalidChoiceError: One of them is empty; the message names the option.
    """
    names = [name.strip() for name in value.split(",")]
    if not all(names):
        raise InvalidChoiceError(f"{option}: {value!r} has an empty name in it; give names separated by commas")
    return tuple(dict.fromkeys(names))


MAX_DEVICES = 64
"""More GPUs no machine has; beyond it lies a typing error."""


def parse_devices(option: str, value: str) -> tuple[str, ...]:
    """Return the devices of a comma-separated option, `cuda:N` or `cpu:N`, in their order.

    A GPU is written `N` or `cuda:N`, and stands there once. The CPU is written `cpu`, as often as it is to be shared,
    or `cpu:0,cpu:1`.

    Raises:
        InvalidChoiceError: One is empty, unknown or there twice, or both kinds are there; the message names the option.
    """
    devices: list[str] = []
    for position, name in enumerate(part.strip() for part in value.split(",")):
        if not name:
            raise InvalidChoiceError(
                f"{option}: {value[:60]!r} has an empty name in it; write 0,1 or cpu,cpu for instance"
            )
        device = _device(option, name, position)
        if device in devices:
            raise InvalidChoiceError(f"{option}: {device} is there twice; name each GPU once (cpu,cpu shares a CPU)")
        devices.append(device)
    if len({device.partition(":")[0] for device in devices}) > 1:
        raise InvalidChoiceError(f"{option}: {value[:60]} has both GPUs and the CPU in it; name devices of one kind")
    if len(devices) > MAX_DEVICES:
        raise InvalidChoiceError(f"{option}: {len(devices)} devices; at most {MAX_DEVICES} are allowed")
    return tuple(devices)


def _device(option: str, name: str, position: int) -> str:
    """Return a device with its number; a CPU without one has that of its position."""
    found = re.fullmatch(r"(?:cuda:)?(?P<gpu>[0-9]{1,3})|cpu(?::(?P<cpu>[0-9]{1,3}))?", name)
    if found is None:
        raise InvalidChoiceError(
            f"{option}: unknown device {name[:20]!r}; choose from N, cuda:N (N as torch numbers GPUs), cpu"
        )
    if found["gpu"] is not None:
        return f"cuda:{int(found['gpu'])}"
    return f"cpu:{int(found['cpu'] or position)}"


MIN_IMAGE_SIZE = 16
"""In pixels: a ResNet in CIFAR form, which halves them three times, leaves 2x2. Of a single pixel and a single image
batch normalisation has no variance."""

MAX_IMAGE_SIZE = 1024
"""In pixels; larger than the images that classifiers are trained on, beyond it lies a typing error."""

MAX_NUM_CLASSES = 100_000
"""More than the 21,843 classes of all of ImageNet; beyond it lies a typing error."""


def parse_batch_sizes(option: str, value: str, largest: int) -> tuple[int, ...]:
    """Return the batch sizes of a comma-separated option, each once, in their order.

    Raises:
        InvalidChoiceError: One is no whole number from 1 to `largest`; the message names the option.
    """
    parts = split_names(option, value)
    return tuple(
        dict.fromkeys(parse_whole_number(option, part, "a batch size", least=1, most=largest) for part in parts)
    )


def parse_image_sizes(option: str, value: str) -> tuple[int, ...]:
    """Return the image sizes, in pixels, of a comma-separated option, each once, in their order.

    Raises:
        InvalidChoiceError: One is no whole number from 16 to 1024; the message names the option.
    """
    return tuple(dict.fromkeys(parse_image_size(option, part) for part in split_names(option, value)))


def parse_image_size(option: str, value: str) -> int:
    """Return an image size in pixels.

    Raises:
        InvalidChoiceError: No whole number from 16 to 1024; the message names the option.
    """
    return parse_whole_number(option, value, "an image size in pixels", least=MIN_IMAGE_SIZE, most=MAX_IMAGE_SIZE)


def parse_num_classes(option: str, value: str) -> int:
    """Return a number of classes.

    Raises:
        InvalidChoiceError: No whole number from 2 to 100000; the message names the option.
    """
    return parse_whole_number(option, value, "a number of classes", least=2, most=MAX_NUM_CLASSES)


def parse_whole_number(
    option: str, value: str, what: str, *, least: int, most: int, unit: str = "whole numbers"
) -> int:
    """Return a whole number that the user wrote.

    Args:
        option: Its name.
        value: What was written.
        what: What it should be, with its article.
        least: The smallest that is allowed.
        most: The largest.
        unit: What is allowed, in the plural.

    Raises:
        InvalidChoiceError: It is none, or not within these; the message names the option.
    """
    # Longer texts are not even read: Python refuses whole numbers of thousands of digits.
    fits = value.isascii() and value.isdigit() and len(value) <= len(str(most)) and least <= int(value) <= most
    if not fits:
        raise InvalidChoiceError(f"{option}: {value[:20]!r} is not {what}; {unit} from {least} to {most} are allowed")
    return int(value)


def parse_capacity(text: str) -> int:
    """Return bytes for a size as people write it: `15GiB`, `15360 MiB`, `16GB`.

    Raises:
        InvalidChoiceError: No number, an unknown unit, or nothing left of it.
    """
    units = {"B": 1, "KIB": 1024, "MIB": MIB_BYTES, "GIB": GIB_BYTES, "KB": 10**3, "MB": 10**6, "GB": 10**9}
    stripped = text.strip()
    number = stripped.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    unit = stripped[len(number) :].upper()
    try:
        size = float(number) * units[unit]
    except (KeyError, ValueError):
        size = -1.0
    if not 0 < size < 2**60:
        raise InvalidChoiceError(f"--capacity: {text!r} is an invalid size; write 15GiB, 15360MiB or 16GB for instance")
    return int(size)
