"""What a finished training gives: its metrics, and what a reader should know before using them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from perfsuite.measure.drift import drift_finding, few_times_finding
from perfsuite.measure.readings import findings_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.measure.drift import DeviceHistory
    from perfsuite.measure.time_stamps import Interruptions
    from perfsuite.measure.training_progress import TrainingProgress
    from perfsuite.records.telemetry import Telemetry
    from perfsuite.records.training import EpochRecord
    from perfsuite.workloads.training import Training

EPOCH_DRIFT_RATIO = 0.02
"""By how much the last third of the epochs may differ from the first: else early steps do not tell the time of late."""


def training_findings(history: Sequence[EpochRecord], device_history: DeviceHistory, telemetry: Telemetry) -> list[str]:
    """Return what a reader should know before using accuracy and times, in words.

    Args:
        history: All epochs of the training.
        device_history: Temperatures between the epochs.
        telemetry: Of the last process; those before are in the progress.
    """
    findings = []
    best, last = max(history, key=lambda epoch: epoch.validation_accuracy), history[-1]
    if not math.isclose(best.validation_accuracy, last.validation_accuracy, abs_tol=0.05):
        findings.append(
            f"validation accuracy fell from {best.validation_accuracy:.1%} in epoch {best.epoch} to "
            f"{last.validation_accuracy:.1%}"
        )
    not_finite = [str(epoch.epoch) for epoch in history if epoch.validation_loss is None]
    if not_finite:
        findings.append(f"the validation loss was not finite after epoch {', '.join(not_finite[:5])}")
    times = [epoch.training_s for epoch in history]
    drift = drift_finding(times, EPOCH_DRIFT_RATIO, of="epochs")
    doubts = (
        drift or few_times_finding(times, EPOCH_DRIFT_RATIO, of="epochs"),
        device_history.heating_finding(telemetry),
    )
    findings += [doubt for doubt in doubts if doubt is not None]
    return findings + findings_of(telemetry)


def training_metrics(
    progress: TrainingProgress,
    training: Training,
    interruptions: Interruptions,
    *,
    test_s: float,
    has_target: bool,
    device_type: str,
) -> tuple[dict[str, int | float | None], dict[str, str]]:
    """Return values by registered metric key, and the reason for every one that is None.

    Args:
        progress: Of the whole training.
        training: As it ended.
        interruptions: Of all its processes.
        test_s: Time of the test.
        has_target: Whether the recipe has a target accuracy.
        device_type: `cuda` or `cpu`.
    """
    peak_bytes = progress.training_peak_bytes
    epochs_s = sum(epoch.training_s for epoch in progress.history)
    metrics: dict[str, int | float | None] = {
        "training_time_s": progress.active_s,
        "epochs_s": epochs_s,
        "validation_s": progress.active_s - epochs_s,
        "test_s": test_s,
        "training_images_per_second": training.num_train * len(progress.history) / epochs_s,
        "time_to_target_s": progress.target_reached_s,
        "peak_allocated_bytes": peak_bytes,
        "evaluation_peak_allocated_bytes": progress.evaluation_peak_bytes,
        "peak_net_bytes": None if peak_bytes is None else peak_bytes - training.resident_bytes,
        "energy_joules": progress.energy_joules,
        "num_interruptions": interruptions.num_interruptions,
        "lost_time_s": interruptions.lost_time_s,
        "num_skipped_steps": sum(epoch.num_skipped_steps for epoch in progress.history),
    }
    no_peak = "a CPU's allocator keeps no account over hours"
    if device_type == "cuda":
        no_peak = "resumed from a checkpoint of an older version, which knew no such peak"
    reasons = {
        "time_to_target_s": "the target was not reached" if has_target else "no target",
        "peak_allocated_bytes": no_peak,
        "evaluation_peak_allocated_bytes": no_peak,
        "peak_net_bytes": no_peak,
        "num_interruptions": interruptions.absent or "",
        "lost_time_s": interruptions.absent or "",
        "energy_joules": "no energy counter is reported by NVML",
    }
    return metrics, {key: reasons[key] for key, value in metrics.items() if value is None}
