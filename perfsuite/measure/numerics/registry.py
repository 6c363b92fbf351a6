"""Which studies of mixed precision there are, by name, and how one becomes a record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfsuite.measure.numerics.accumulation import study_accumulation
from perfsuite.measure.numerics.autocast_types import study_types
from perfsuite.measure.numerics.formats import study_formats
from perfsuite.measure.numerics.gradients import study_gradients
from perfsuite.measure.numerics.scales import study_scales
from perfsuite.measure.numerics.scaling import study_scaling
from perfsuite.measure.numerics.updates import study_updates
from perfsuite.measure.numerics.weights import study_weights
from perfsuite.parsing import choose
from perfsuite.records.numerics import NumericsRecord

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.measure.numerics.study import StudyContext, StudyResult
    from perfsuite.records.environment import Process
    from perfsuite.records.numerics import Study

_RUN: dict[str, Callable[[StudyContext], StudyResult]] = {
    "formats": study_formats,
    "updates": study_updates,
    "weights": study_weights,
    "gradients": study_gradients,
    "scaling": study_scaling,
    "scales": study_scales,
    "accumulation": study_accumulation,
    "types": study_types,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagesOfStudy:
    """What a study's images are, in words, and what a reader should know of them."""

    words: str
    findings: tuple[str, ...]


NO_IMAGES = ImagesOfStudy(words="", findings=())


def run_study(
    name: Study, context: StudyContext, process: Process, images: ImagesOfStudy = NO_IMAGES
) -> NumericsRecord:
    """Run a study.

    Args:
        name: A name from `STUDIES`.
        context: What it is given.
        process: Which process this is.
        images: What its images are, in words.

    Raises:
        InvalidChoiceError: An unknown name.
        MeasurementError: It cannot be done with these images.
    """
    result = choose(_RUN, name, kind="study of mixed precision")(context)
    return NumericsRecord(
        study=name,
        workload=result.workload or context.workload,
        images=images.words,
        claims=result.claims,
        notes=result.notes,
        curves=result.curves,
        histograms=result.histograms,
        operators=result.operators,
        settings=result.settings,
        findings=(*result.findings, *images.findings),
        process=process,
    )
