"""The version of what is written, and what every record keeps to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite.errors import RecordError
from perfsuite.metrics import METRICS
from perfsuite.records.strict_json import is_number, kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping


SCHEMA_VERSION = 12
"""Version of everything under the key `perfsuite` in a result file. Raised when an old reader would misread it.

1: cells. 2: a record has a kind, `cell` (the only one before), `pair` or `training`. 3: how a pair was measured; the
outcome `cannot_tell`: a check was measured, and its interval did not decide in the time that it had. 4: a training
says in which environment it was trained, keeps its test predictions, its interruptions and the reasons of its choices;
its peak memory is that of training alone. 5: a training keeps its telemetry. 6: names: `overhead` (was `fidelity`),
`pipeline_thesis` (was `pipeline_study`), the recipe `thesis` (was `study`), `num_iterations` of a pair (was
`num_passes`), the metric `min_bytes` (was `least_bytes`). 7: a workload has its number of classes, and may have other
images than of 32x32 pixels. 8: a workload says how it is compiled (`compile_mode`, was `compiled`), whether it is
replayed from a CUDA graph, and which network of its name it is; phases `inference` and `call`. 9: a training may be of
other images and classes than those of CIFAR-10, and names them. 10: a cell keeps what its operators take at the eager
roofline. 11: a kind `numerics`, a study of mixed precision. 12: a kind `scaling`, a step on several devices; a training
says on how many.
"""


KEY = "perfsuite"
"""The key of perfsuite's data in `extra_info`, in `machine_info` and at the top of a result file."""


def check_metrics(metrics: Mapping[str, int | float | None], absent: Mapping[str, str]) -> None:
    """Check that metrics are registered and finite, and that absent ones have a reason.

    Raises:
        RecordError: One is not.
    """
    for key, value in metrics.items():
        if key not in METRICS:
            raise RecordError(f"metric {key!r} is not registered; register it in perfsuite.metrics")
        if value is None and key not in absent:
            raise RecordError(f"metric {key!r} is absent without a reason")
        if value is not None and not is_number(value):
            raise RecordError(f"metric {key!r} is {value!r}; a finite number is needed, or None with a reason")


def versioned(value: object, where: str) -> dict[str, Any]:
    """Return the fields of an object that carries its schema version, which must not be a newer one.

    Raises:
        RecordError: It is, or there is none.
    """
    if not isinstance(value, dict):
        raise RecordError(f"{where} is {kind_of(value)}, an object is needed")
    version = value.get("schema_version")
    if isinstance(version, bool) or not isinstance(version, int):
        raise RecordError(f"{where}.schema_version is {version!r}, a whole number is needed")
    if version > SCHEMA_VERSION:
        raise RecordError(
            f"{where} has schema version {version}, this perfsuite reads up to {SCHEMA_VERSION}: upgrade perfsuite"
        )
    return {key: item for key, item in value.items() if key != "schema_version"}
