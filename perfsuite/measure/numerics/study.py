"""What every study of mixed precision is given, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfsuite.errors import MeasurementError

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from perfsuite.records.numerics import Claim, Curve, ExponentHistogram
    from perfsuite.records.operators import Operator
    from perfsuite.records.workload import Recipe, Workload
    from perfsuite.workloads.images import ImageSet


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyContext:
    """What a study is given.

    Attributes:
        device: Where it computes.
        workload: The network and batch that it is of; None where it is of none.
        images: What the network is given; None where there is no network.
        recipe: Learning rate, momentum and weight decay of the steps that are looked at.
        seeds: Of the trainings of an ablation.
        report_stage: Called with the current stage, in a word or two.
    """

    device: torch.device
    workload: Workload | None
    images: ImageSet | None
    recipe: Recipe
    seeds: tuple[int, ...]
    report_stage: Callable[[str], None]

    def network(self) -> tuple[Workload, ImageSet]:
        """Return the workload and the images of a study that needs them.

        Raises:
            MeasurementError: It has none.
        """
        if self.workload is None or self.images is None:
            raise MeasurementError("this study needs a network and images")
        return self.workload, self.images


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyResult:
    """What a study gives back; see `NumericsRecord`."""

    claims: tuple[Claim, ...]
    notes: tuple[str, ...] = ()
    curves: tuple[Curve, ...] = ()
    histograms: tuple[ExponentHistogram, ...] = ()
    operators: tuple[Operator, ...] = ()
    settings: dict[str, str | int | float | bool]
    findings: tuple[str, ...] = ()
    workload: Workload | None = None
    """Another than the one that was given, where a study has a network of its own."""
