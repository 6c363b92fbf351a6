"""Machine and versions of a result file: the only place that reads `machine_info`.

Users add their own entries to `machine_info`, so a GPU may be a name, an object, a list of either, or the text that
pytest-benchmark writes for an object that it cannot serialise.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from perfsuite.analysis.load.result_file import ResultFile

GPU_PLACES = ("gpu", "gpus", "gpu_name", "gpu_info")
"""Where in `machine_info` a GPU is found, the first that has a name counts."""

GPU_NAMES = ("name", "product_name", "gpu_name", "device_name", "model", "model_name", "brand")
CPU_NAMES = ("brand_raw", "brand", "name", "model_name", "product_name")
"""Keys of an object that may hold its name, the first that has one counts; `brand` is of pytest-benchmark 3 (2020)."""

VERSION_PLACES = {
    "torch": ("pytorch_version", "torch_version", "pytorch", "torch"),
    "torchvision": ("torchvision_version", "torchvision"),
    "CUDA": ("cuda_version", "cuda"),
    "cuDNN": ("cudnn_version", "cudnn"),
    "driver": ("driver_version", "nvidia_driver_version", "nvidia_driver", "gpu_driver", "driver"),
}
"""Where in `machine_info`, or in its object of a GPU, a version is found; `pytorch_version` is TorchBench's."""

VERSIONS = tuple(VERSION_PLACES)
"""What `versions_of` tells the versions of."""

NOT_A_NAME = {"", "unknown", "none", "n/a", "null"}
"""What is written where nothing was found; py-cpuinfo writes `unknown`."""

MAX_TEXT = 4000
"""Characters of a text that are searched for a name."""

MAX_NAME = 200

MAX_GPUS = 64
"""Entries of a list that are read."""

MAX_DEPTH = 3
"""Objects within objects that are followed."""

_UNSERIALIZABLE = "UNSERIALIZABLE["
_QUOTED = re.compile(r"""b?(['"])((?:(?!\1).)*)\1$""", re.DOTALL)
_NAMED = re.compile(
    r"""(?:^|[^\w])['"]?(?:product_|gpu_|device_)?name['"]?\s{0,4}[=:]\s{0,4}b?(['"])([^'"]{1,200})\1""",
    re.IGNORECASE,
)
_OF_AN_OBJECT = re.compile(r"[<>{}\[\]=]|0x[0-9a-fA-F]")


def machine_of(file: ResultFile) -> dict[str, str]:
    """Return host, CPU, GPU and board, as far as the file says; two files with the same ones are of one machine.

    The board is one of several GPUs of a model: a part of a hash, in files of before it was recorded unknown.
    """
    ours, machine = file.environment, file.machine
    found = {"host": _name(machine.get("node"), ())}
    if ours is not None:
        found |= {"CPU": ours.cpu, "GPU": ours.gpu, "board": ours.board}
    else:
        found |= {"CPU": _name(machine.get("cpu"), CPU_NAMES), "GPU": _gpu(machine)}
    return {key: value for key, value in found.items() if value is not None}


def machine_key(machine: dict[str, str]) -> str:
    """Return one name for a machine: its GPU or CPU, and its host."""
    return f"{machine.get('GPU') or machine.get('CPU', 'unknown')} in {machine.get('host', 'unknown host')}"


def versions_of(file: ResultFile) -> dict[str, str]:
    """Return versions of torch, torchvision, CUDA, cuDNN and the driver, as far as the file says."""
    ours, machine = file.environment, file.machine
    if ours is not None:
        known = {"torch": ours.torch, "torchvision": ours.torchvision, "CUDA": ours.cuda, "cuDNN": ours.cudnn}
        return {name: value for name, value in {**known, "driver": ours.driver}.items() if value is not None}
    found = {}
    for name, places in VERSION_PLACES.items():
        version = next(_versions(machine, places), None)
        if version is not None:
            found[name] = version
    source = _version(machine.get("pytorch_git_version"))
    if source is not None and source[:7] not in found.get("torch", ""):
        found["torch"] = f"{found.get('torch', 'unknown')}+git{source[:10]}"
    return found


def started_s(file: ResultFile) -> float:
    """Return when the run began in seconds since 1970, by its record or by when the file was written; else NaN."""
    for benchmark in file.benchmarks:
        ours = benchmark.cell or benchmark.pair or benchmark.scaling
        if ours is not None:
            return seconds_since_1970(ours.process.started)
    return seconds_since_1970(file.written)


def seconds_since_1970(text: str | None) -> float:
    """Return a point in time that is written as ISO 8601, UTC unless it says otherwise; NaN where it is none."""
    try:
        moment = dt.datetime.fromisoformat(text or "")
    except ValueError:
        return float("nan")
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()


def _gpu(machine: Mapping[str, Any]) -> str | None:
    return next((name for place in GPU_PLACES if (name := _name(machine.get(place), GPU_NAMES)) is not None), None)


def _name(value: Any, keys: Sequence[str], depth: int = 0) -> str | None:
    """Return a name: of a text, of an object by its keys, or of a list of either."""
    if isinstance(value, str):
        return _usable(_name_in_text(value[:MAX_TEXT]))
    if depth == MAX_DEPTH:
        return None
    if isinstance(value, list):
        return _names(value, keys, depth)
    if not isinstance(value, dict):
        return None
    for key in keys:
        name = _name(value[key], keys, depth + 1) if key in value else None
        if name:
            return name
    return _names([one for one in value.values() if isinstance(one, dict)], keys, depth)


def _names(values: Sequence[Any], keys: Sequence[str], depth: int) -> str | None:
    """Return the names of several things as one: `2 x NVIDIA A100`."""
    names = [name for value in values[:MAX_GPUS] if (name := _name(value, keys, depth + 1)) is not None]
    counts = {name: names.count(name) for name in names}
    return ", ".join(name if count == 1 else f"{count} x {name}" for name, count in counts.items()) or None


def _name_in_text(text: str) -> str | None:
    """Return the name in a text, or in the `repr` that pytest-benchmark writes as `UNSERIALIZABLE[...]`.

    A `repr` is only searched, never evaluated. One that holds no name (`<GPU object at 0x7f...>`) differs from process
    to process and identifies nothing.
    """
    if not text.startswith(_UNSERIALIZABLE):
        return text
    written = text.removeprefix(_UNSERIALIZABLE).strip().removesuffix("]").strip()
    quoted = _QUOTED.match(written)
    if quoted is not None:
        return quoted[2]
    named = _NAMED.search(written)
    if named is not None:
        return named[2]
    return None if _OF_AN_OBJECT.search(written) else written


def _usable(name: str | None) -> str | None:
    name = None if name is None else name.strip()[:MAX_NAME]
    return None if name is None or name.lower() in NOT_A_NAME else name


def _versions(machine: Mapping[str, Any], places: Sequence[str]) -> Iterator[str]:
    gpu = machine.get("gpu")
    for source in (machine, gpu if isinstance(gpu, dict) else {}):
        for place in places:
            version = _version(source.get(place))
            if version is not None:
                yield version


def _version(value: Any) -> str | None:
    """Return a version that is written as a text, as a number or under the key `version` of an object."""
    if isinstance(value, dict):
        value = value.get("version")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return _name(str(value), ())
