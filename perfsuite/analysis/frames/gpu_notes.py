"""What a reader of the decision between GPUs should know: what is compared, what is projected, what differs too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite import thesis
from perfsuite.analysis.frames.gpu_best import comparable_rows
from perfsuite.analysis.frames.gpu_trainings import num_images
from perfsuite.analysis.frames.gpu_words import PREDICTED, decision_lines, network_words
from perfsuite.analysis.frames.labels import enumerate_words
from perfsuite.analysis.frames.ratio_text import bracket_notes
from perfsuite.precisions import BASELINE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfsuite.analysis.frames.gpus import GpuDecision, GpuRow

MORE = "for a 95% interval: give the files of two or more runs of each GPU"


def decision_notes(decision: GpuDecision) -> tuple[str, ...]:
    """Return what is listed below the rows, the best of each network first."""
    if not decision.rows:
        return ()
    return (
        *decision_lines(decision),
        *_speed_notes(decision),
        *_left_out_notes(decision),
        *_batch_notes(decision),
        *_cost_notes(decision),
        *_torch_note(decision),
    )


def _speed_notes(decision: GpuDecision) -> list[str]:
    if decision.baseline is None or len(decision.environments) == 1:
        return []
    baseline = decision.baseline.label
    notes = [f"speed: images/s over those of {baseline}, in the fastest precision of each{_precisions(decision)}"]
    notes += bracket_notes([row.speed for row in decision.rows], more=MORE)
    if any(row.speed is not None and row.speed.basis is None for row in decision.rows):
        notes.append("[no interval]: too few rounds, or one run against several: give two or more of each GPU")
    return notes + _baseline_notes(decision) + _size_notes(decision)


def _baseline_notes(decision: GpuDecision) -> list[str]:
    """Return where FP32 alone was measured of a network that others measured in more precisions."""
    name = network_words(decision)
    networks: dict[str, list[str]] = {}
    for rows in decision.by_network():
        alone = [row.environment.label for row in rows if set(row.steps) == {BASELINE}]
        if alone and any(len(row.steps) > 1 for row in rows):
            networks.setdefault(enumerate_words(alone), []).append(name(rows[0].network))
    return [
        f"{enumerate_words(names)} on {labels}: {BASELINE} alone was measured; AMP may be faster there"
        for labels, names in networks.items()
    ]


def _precisions(decision: GpuDecision) -> str:
    """Return which precision is the fastest where it is not the same everywhere: `: amp-fp16 on T4, tf32 on A100`."""
    found: dict[str, dict[str, None]] = {}
    for row in decision.rows:
        if row.fastest is not None:
            found.setdefault(row.environment.label, {})[row.fastest.precision] = None
    labels: dict[str, list[str]] = {}
    for label, names in found.items():
        labels.setdefault(enumerate_words(list(names)), []).append(label)
    if len(labels) == 1:
        return f", {next(iter(labels))}"
    return ": " + "; ".join(f"{names} on {enumerate_words(of)}" for names, of in labels.items())


def _size_notes(decision: GpuDecision) -> list[str]:
    """Return which environments of a network are not compared with the others, for they have another batch size."""
    name = network_words(decision)
    notes = []
    for rows in decision.by_network():
        comparable = comparable_rows(rows)
        others = [row for row in rows if all(row is not one for one in comparable)]
        if others:
            listed = enumerate_words([f"{row.environment.label} (batch {row.batch_size})" for row in others])
            notes.append(
                f"{name(rows[0].network)}: not compared, for the batch size is not that of the others: {listed}"
            )
    return notes


def _left_out_notes(decision: GpuDecision) -> list[str]:
    """Return what was measured at other batch sizes than the one that is shown."""
    name = network_words(decision)
    notes, sizes = [], set()
    for row in decision.rows:
        for steps in row.left_out:
            if steps.precision in row.steps:
                sizes.add(steps.batch_size)
            else:
                what = f"{name(row.network)} {steps.precision} on {row.environment.label}"
                notes.append(f"{what}: measured at batch {steps.batch_size:,} and not at {row.batch_size:,}: not shown")
    if sizes:
        listed = enumerate_words([f"{size:,}" for size in sorted(sizes)])
        notes.append(f"also measured and not shown: batch {listed}; --table steps has them")
    return notes


def _batch_notes(decision: GpuDecision) -> list[str]:
    found = [row.largest_batch for row in decision.rows]
    notes = []
    if any(one.basis == "predicted" for one in found):
        notes.append(
            f"largest batch: {PREDICTED} predicted for the fastest precision, from the largest measured peak and the "
            "GPU's memory; at least this many fit, unless memory is fragmented"
        )
    if any(one.basis == "measured" and one.too_large is None for one in found):
        notes.append("largest batch: ≥ the largest that was tried")
    if any(one.basis == "measured" and one.too_large is not None for one in found):
        notes.append("largest batch: from the largest that fitted to the smallest that ran out of memory")
    return notes


def _cost_notes(decision: GpuDecision) -> list[str]:
    amounts = [row.cost("time_s") for row in decision.rows]
    if all(amount.value is None for amount in amounts):
        return []
    has_energy = any(row.cost("energy_joules").value is not None for row in decision.rows)
    prices = _prices(decision)
    shown = ["hours"]
    if has_energy:
        shown.append("kWh")
    if prices:
        shown.append("cost")
    notes = [f"{enumerate_words(shown)}: of a full training by the thesis's recipe ({_recipe(decision.rows)})"]
    if any(amount.basis == "projected" for amount in amounts):
        notes.append(
            f"{PREDICTED} projected from training steps{_sizes(decision)}, without validation and data loading"
        )
    measured = [row.num_trainings for row in decision.rows if row.measured.time_s is not None]
    if measured:
        notes.append(
            f"without {PREDICTED}: mean of full trainings ({sum(measured)} in all) with validation and loading"
        )
    if has_energy:
        notes.append("kWh and images/s per W: of the GPU alone, by its energy counter")
    if prices:
        notes.append(f"cost: hours x price per hour as given ({', '.join(prices)})")
    else:
        example = decision.environments[0].short_device
        notes.append(f"for the cost of a training: --price '{example}=PRICE', with the price per hour")
    return notes


def _prices(decision: GpuDecision) -> list[str]:
    """Return the prices that were given, each with its device."""
    prices = {row.environment.short_device: row.price_per_hour for row in decision.rows}
    return [f"{device} {price:g}" for device, price in prices.items() if price is not None]


def _sizes(decision: GpuDecision) -> str:
    """Return at which batch size the steps were measured, where that is not the recipe's."""
    sizes = sorted({row.batch_size for row in decision.rows if row.steps and row.batch_size is not None})
    if sizes == [thesis.BATCH_SIZE]:
        return ""
    return f" of batch {enumerate_words([f'{size:,}' for size in sizes])} (the recipe's is {thesis.BATCH_SIZE})"


def _recipe(rows: Iterable[GpuRow]) -> str:
    epochs: dict[int, list[str]] = {}
    for model in dict.fromkeys(row.network.model for row in rows if num_images(row.network) is not None):
        epochs.setdefault(thesis.EPOCHS[model], []).append(model)
    if len(epochs) == 1:
        return f"{next(iter(epochs))} epochs of {thesis.TRAIN_IMAGES:,} images"
    listed = ", ".join(f"{enumerate_words(models)} {number}" for number, models in epochs.items())
    return f"epochs of {thesis.TRAIN_IMAGES:,} images: {listed}"


def _torch_note(decision: GpuDecision) -> list[str]:
    """Return that the versions of torch differ, where the labels do not say it."""
    versions = {one.label: one.origin["torch"] for one in decision.environments}
    if len(set(versions.values())) == 1 or all("torch" in label for label in versions):
        return []
    return ["torch differs too: " + ", ".join(f"{version} on {label}" for label, version in versions.items())]
