"""Which kinds of record there are, and reading one of whatever kind."""

from __future__ import annotations

from typing import Any

from perfsuite.errors import RecordError
from perfsuite.records.cell import Record
from perfsuite.records.numerics import NumericsRecord
from perfsuite.records.pair import PairedRecord
from perfsuite.records.scaling import ScalingRecord
from perfsuite.records.schema import versioned
from perfsuite.records.strict_json import read_dataclass
from perfsuite.records.training import PEAK_WITHOUT_EVALUATION, TrainingRecord, with_cudnn_benchmark, without_peaks

AnyRecord = Record | PairedRecord | TrainingRecord | NumericsRecord | ScalingRecord


def read_record(value: object, where: str = "record") -> AnyRecord:
    """Read a record of any kind.

    Raises:
        RecordError: A newer schema, an unknown kind, a field missing or of the wrong type.
    """
    fields = versioned(value, where)
    kinds: dict[str, type[AnyRecord]] = {
        "cell": Record,
        "pair": PairedRecord,
        "training": TrainingRecord,
        "numerics": NumericsRecord,
        "scaling": ScalingRecord,
    }
    kind = fields.get("kind", "cell")
    if not isinstance(kind, str) or kind not in kinds:
        raise RecordError(f"{where}.kind is {kind!r:.60}, one of {', '.join(kinds)} is needed")
    if kind == "training":
        fields = with_cudnn_benchmark(fields)
    fields = _with_todays_names(fields)
    record = read_dataclass(kinds[kind], fields, where)
    is_old = isinstance(value, dict) and value["schema_version"] < PEAK_WITHOUT_EVALUATION
    if isinstance(record, TrainingRecord) and is_old:
        return without_peaks(record)
    return record


_COMPARISONS = {"fidelity": "overhead", "pipeline_study": "pipeline_thesis"}
_FIELDS = {"num_passes": "num_iterations"}
_METRICS = {"least_bytes": "min_bytes"}
"""Names of before schema version 6, and those of today."""


def _with_todays_names(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a record of any version with the names that they have today."""
    fields = _renamed(fields, _FIELDS)
    comparison, recipe = fields.get("comparison"), fields.get("recipe")
    if isinstance(comparison, str):
        fields["comparison"] = _COMPARISONS.get(comparison, comparison)
    if isinstance(recipe, dict) and recipe.get("name") == "study":
        fields["recipe"] = {**recipe, "name": "thesis"}
    for name in ("metrics", "absent"):
        if isinstance(fields.get(name), dict):
            fields[name] = _renamed(fields[name], _METRICS)
    return fields


def _renamed(fields: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """Return fields with today's names; where a field has both, today's counts."""
    is_both = {old for old, new in names.items() if old in fields and new in fields}
    return {names.get(key, key): value for key, value in fields.items() if key not in is_both}
