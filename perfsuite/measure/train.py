"""Runs one full training, which can be interrupted at any time, and returns one TrainingRecord."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from typing import TYPE_CHECKING, Any

import torch

from perfsuite.errors import MeasurementError, RecordError
from perfsuite.measure.clock import device_synchronizer
from perfsuite.measure.evaluation_batch import evaluation_batch_size
from perfsuite.measure.memory import memory_meter
from perfsuite.measure.telemetry import make_instrument
from perfsuite.measure.time_stamps import NAME as TIME_STAMPS
from perfsuite.measure.time_stamps import TimeStamps
from perfsuite.measure.training_instruments import TrainingInstruments
from perfsuite.measure.training_job import (
    Job,
    folder_name,
    identity_of,
    kept_names,
    read_finished,
    training_folder,
    write_finished,
)
from perfsuite.measure.training_progress import TrainingProgress, read_progress
from perfsuite.measure.training_result import training_findings, training_metrics
from perfsuite.records.predictions import (
    MAX_CONFUSION_CLASSES,
    confusion_of,
    max_predictions,
    pack_predictions,
)
from perfsuite.records.strict_json import to_strict_json
from perfsuite.records.training import DataIdentity, EpochRecord, TrainingRecord
from perfsuite.training_choices import training_choices
from perfsuite.workloads.checkpoint import load_checkpoint, remove_checkpoints, save_checkpoint
from perfsuite.workloads.images import split_images
from perfsuite.workloads.precision import applied_to, policy_named, require_support
from perfsuite.workloads.precision_proof import check_model, check_optimizer, verify
from perfsuite.workloads.ranks import ALONE
from perfsuite.workloads.training import Training, deterministic
from perfsuite.workloads.training_state import check_state

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from perfsuite.measure.active_clock import ActiveClock
    from perfsuite.measure.telemetry import Instrument
    from perfsuite.records.environment import Process
    from perfsuite.records.proof import ProofReading
    from perfsuite.records.telemetry import Telemetry
    from perfsuite.workloads.images import Split
    from perfsuite.workloads.ranks import Ranks
    from perfsuite.workloads.training import Evaluation


AGREE_EVERY_STEPS = 20
"""In which several ranks agree on whether a checkpoint is due; each time they wait for the first one's host."""

TELEMETRY_PERIOD_S = 1.0
"""Between two readings of the GPU: a training takes hours."""


def train(  # noqa: PLR0913 - what it tells, and whom
    job: Job,
    *,
    device: torch.device,
    process: Process,
    clock: ActiveClock,
    report: Callable[[str], None] = lambda _text: None,
    warn: Callable[[str], None] = lambda _text: None,
    epoch_ended: Callable[[EpochRecord, float, float], None] = lambda *_: None,
    now: Callable[[], float] = time.perf_counter,
    ranks: Ranks = ALONE,
) -> TrainingRecord:
    """Train, or resume an interrupted training, or replay what is finished.

    Of several ranks all do the same; the first one holds the folder, writes, evaluates, and returns what all return.

    Args:
        job: What to do.
        device: Where.
        process: Which process this is.
        clock: Advanced by every second of training and evaluation, in this process and in those before.
        report: Called with the current stage, in a word or two.
        warn: Called with one line on what went wrong.
        epoch_ended: Called with an epoch, its images per second and the seconds expected to be left.
        now: Reads seconds.
        ranks: The processes that share the training, as many as the job asks for.

    Raises:
        NotSupportedError: This hardware lacks the precision.
        PrecisionNotActiveError: The precision asked for is not the one computed in.
        MeasurementError: The training diverged.
        DataError: The split does not fit the images, or the disk is full.
        FolderInUseError: Another process is training this.
    """
    split = split_images(
        job.images,
        seed=job.seed,
        num_train=job.recipe.num_train,
        num_validation=job.recipe.num_validation,
        num_test=job.recipe.num_test,
    )
    identity = identity_of(job, split, device)
    policy = policy_named(job.workload.precision)
    with contextlib.ExitStack() as undo:
        folder = job.folder / folder_name(job, identity)
        finished = None
        if ranks.is_first:
            undo.enter_context(training_folder(job, identity))
            finished = read_finished(folder, identity, warn)
        finished = ranks.first(finished)
        if finished is not None:
            if ranks.is_first:
                _free(folder)  # of a process that was killed before it could
            clock.seconds = float(finished.metrics["training_time_s"] or 0.0)
            report("replaying")
            return dataclasses.replace(finished, replayed=True)
        require_support(policy, device)
        undo.enter_context(applied_to(job.workload))
        undo.enter_context(deterministic(on=job.deterministic))
        report("verifying precision")
        proof = verify(policy, device)
        report("building")
        step = dataclasses.replace(job.workload, batch_size=-(-job.recipe.batch_size // ranks.world_size))
        training = Training(
            job.workload,
            job.recipe,
            job.images,
            split,
            device=device,
            seed=job.seed,
            evaluation_batch=evaluation_batch_size(step) if ranks.is_first else None,
            ranks=ranks,
        )
        undo.callback(training.close)
        instrument = make_instrument(device, period_s=TELEMETRY_PERIOD_S)
        run = _Run(
            job,
            training,
            folder,
            identity,
            device=device,
            clock=clock,
            now=now,
            instrument=instrument,
        )
        # What a network draws (dropout) is not to depend on what was trained before; it differs between ranks.
        undo.enter_context(torch.random.fork_rng(devices=[device] if device.type == "cuda" else []))
        torch.manual_seed((job.seed << 20) + ranks.rank)
        size = job.workload.image_size
        check_model(policy, training.model, torch.zeros(2, 3, size, size, device=device))
        check_optimizer(policy, training.optimizer)
        run.resume(warn)  # after the checks, which draw as well
        watch = instrument.start()
        try:
            run.epochs(report, epoch_ended, lambda: instrument.read(watch))
        finally:
            telemetry = instrument.stop(watch)
        report("testing")
        record = ranks.first(run.record(split, proof, process, telemetry))
        if ranks.is_first:
            write_finished(folder, record)
            _free(folder)
    return record


def _free(folder: Path) -> None:
    """Remove what only an unfinished training needs: its checkpoints, and when its processes ran."""
    remove_checkpoints(folder)
    with contextlib.suppress(OSError):
        (folder / TIME_STAMPS).unlink(missing_ok=True)


class _Run:
    """One process's part of a training."""

    def __init__(
        self,
        job: Job,
        training: Training,
        folder: Path,
        identity: str,
        *,
        device: torch.device,
        clock: ActiveClock,
        now: Callable[[], float],
        instrument: Instrument,
    ) -> None:
        self._job, self._training, self._folder, self._identity = job, training, folder, identity
        self._device, self._clock, self._now = device, clock, now
        self._ranks = training.ranks
        self._instruments = TrainingInstruments(
            instrument, memory_meter(device), training.ranks, side_by_side=job.side_by_side
        )
        self._synchronize = device_synchronizer(device)
        self._progress = TrainingProgress()
        self._stamps = TimeStamps(folder, is_written=self._ranks.is_first)

    def resume(self, warn: Callable[[str], None]) -> None:
        """Go on from the newest checkpoint that is whole, if there is one."""
        self._stamps.begin_process()
        own = self._training.state()

        def check(state: dict[str, Any]) -> None:
            if state.get("identity") != self._identity:
                raise RecordError("of another training: other recipe, data or versions")
            check_state(state.get("training"), own, self._device)
            self._saved_progress(state)

        state = load_checkpoint(self._folder, device=self._device, check=check, warn=warn)
        read = self._ranks.each(
            None if state is None else (state["training"]["epoch"], state["training"].get("step", 0))
        )
        if any(one != read[0] for one in read):
            raise MeasurementError(f"{self._folder}: ranks read different checkpoints; run the same command again")
        if state is None:
            return
        self._training.load_state(state["training"])
        self._progress = self._saved_progress(state)
        self._progress.resume()
        self._clock.seconds = self._progress.active_s

    def _saved_progress(self, state: dict[str, Any]) -> TrainingProgress:
        return read_progress(
            state.get("progress"),
            epoch=state["training"]["epoch"],
            step=state["training"].get("step", 0),
            num_steps=self._training.num_steps,
            num_epochs=self._job.recipe.epochs,
        )

    def epochs(
        self,
        report: Callable[[str], None],
        epoch_ended: Callable[[EpochRecord, float, float], None],
        read_telemetry: Callable[[], Telemetry],
    ) -> None:
        """Train what is left, a checkpoint after every epoch and now and then within one."""
        training, progress, instruments = self._training, self._progress, self._instruments
        instruments.note_temperature(self._now)
        while training.epoch < self._job.recipe.epochs:
            number = training.epoch + 1
            energy = instruments.energy_joules()
            self._stamps.begin_epoch(number)
            instruments.begin_peak()
            begin = self._reading()

            def step(index: int, number: int = number) -> None:
                nonlocal begin, energy
                self._stamps.stamp_now_and_then()
                if index % 20 == 0:
                    report(f"epoch {number}, step {index + 1} of {training.num_steps}")
                is_time = self._is_time_to_save(index)
                if not is_time or index + 1 == training.num_steps:
                    return
                progress.epoch_active_s += self._reading() - begin
                self._add_energy(energy, instruments.energy_joules())
                progress.training_peak_bytes = instruments.higher_peak(progress.training_peak_bytes)
                progress.findings = instruments.findings(read_telemetry())
                self._save()
                self._stamps.saved()
                energy = instruments.energy_joules()
                begin = self._reading()

            loss, num_skipped = training.train_epoch(report_step=step)
            middle = self._reading()
            self._stamps.stamp()
            training_s = progress.epoch_active_s + middle - begin
            progress.training_peak_bytes = instruments.higher_peak(progress.training_peak_bytes)
            report(f"epoch {number}, validating")
            evaluation = self._evaluated("validation")
            end = self._reading()
            progress.evaluation_peak_bytes = instruments.higher_peak(progress.evaluation_peak_bytes)
            self._stamps.stamp()
            self._advance(training_s + end - middle)
            self._add_energy(energy, instruments.energy_joules())
            instruments.note_temperature(self._now)
            epoch = EpochRecord(
                epoch=number,
                learning_rate=self._job.recipe.learning_rate_at(number - 1),
                train_loss=loss,
                validation_loss=evaluation.loss if math.isfinite(evaluation.loss) else None,
                validation_accuracy=evaluation.accuracy,
                loss_scale=training.loss_scale,
                num_skipped_steps=num_skipped,
                training_s=training_s,
                evaluation_s=end - middle,
            )
            progress.history.append(epoch)
            target = self._job.recipe.target_accuracy
            if target is not None and progress.target_reached_s is None and evaluation.accuracy >= target:
                progress.target_reached_s = progress.active_s
            progress.epoch_active_s = 0.0
            progress.findings = instruments.findings(read_telemetry())
            self._save()
            left = (self._job.recipe.epochs - number) * (training_s + end - middle)
            epoch_ended(epoch, training.num_train / training_s, left)

    def _is_time_to_save(self, step: int) -> bool:
        """Whether a checkpoint is due after a step; the first rank's clock decides for all, which asks them to wait."""
        is_time = self._stamps.is_unsaved_for(self._job.checkpoint_every_s)
        if self._ranks.is_alone:
            return is_time
        return step % AGREE_EVERY_STEPS == AGREE_EVERY_STEPS - 1 and self._ranks.first(is_time)

    def _evaluated(self, part: str) -> Evaluation:
        """Return how the network does, as the first rank finds: it alone has the statistics that are kept."""
        own = self._training.evaluate(part) if self._ranks.is_first else None
        found = self._ranks.first(own)
        if found is None:
            raise AssertionError("the first rank evaluates")
        return found

    def _reading(self) -> float:
        self._synchronize()
        return self._now()

    def _advance(self, seconds: float) -> None:
        self._progress.active_s += seconds
        self._clock.seconds = self._progress.active_s

    def _add_energy(self, before: float | None, after: float | None) -> None:
        known = self._progress.energy_joules
        if known is None or before is None or after is None:
            self._progress.energy_joules = None
        else:
            self._progress.energy_joules = known + after - before

    def _save(self) -> None:
        training = self._training
        self._progress.num_steps = training.epoch * training.num_steps + training.step
        progress = to_strict_json(dataclasses.asdict(self._progress))
        state = {"identity": self._identity, "training": training.state(), "progress": progress}
        if self._ranks.is_first:
            save_checkpoint(self._folder, state)

    def record(
        self, split: Split, proof: tuple[ProofReading, ...], process: Process, telemetry: Telemetry
    ) -> TrainingRecord:
        """Test the network, and put everything together.

        Raises:
            MeasurementError: The weights of the ranks differ.
        """
        job, training, progress = self._job, self._training, self._progress
        telemetry = self._instruments.own(telemetry)
        if len(set(self._ranks.each(training.parameters_sha256()))) > 1:
            raise MeasurementError(f"{job.workload.label}: the ranks ended with different weights; train again")
        self._instruments.begin_peak()
        begin = self._reading()
        test = self._evaluated("test")
        test_s = self._reading() - begin
        progress.evaluation_peak_bytes = self._instruments.higher_peak(progress.evaluation_peak_bytes)
        metrics, absent = training_metrics(
            progress,
            training,
            self._stamps.interruptions(len(progress.history)),
            test_s=test_s,
            has_target=job.recipe.target_accuracy is not None,
            device_type=self._device.type,
        )
        choices = training_choices(
            job.workload,
            job.recipe,
            deterministic=job.deterministic,
            evaluation_batch=training.evaluation_batch,
            world_size=job.world_size,
        )
        num_classes = job.workload.num_classes
        is_small = num_classes <= MAX_CONFUSION_CLASSES
        predictions = None
        if len(split.test) <= max_predictions(num_classes):
            predictions = pack_predictions(test.outcomes, num_classes)
        return TrainingRecord(
            workload=job.workload,
            recipe=job.recipe,
            seed=job.seed,
            data=DataIdentity(
                name=job.images.name,
                fingerprint=job.images.fingerprint,
                split_fingerprint=split.fingerprint,
                is_canonical=job.images.is_canonical,
                num_train=len(split.train),
                num_validation=len(split.validation),
                num_test=len(split.test),
                classes=kept_names(job.images.classes),
            ),
            metrics=metrics,
            absent=absent,
            history=tuple(progress.history),
            confusion=confusion_of(test.outcomes, num_classes) if is_small else (),
            test_accuracy=test.accuracy,
            weights_sha256=training.weights_sha256(),
            num_resumes=progress.num_resumes,
            deterministic=job.deterministic,
            replayed=False,
            settings={
                "optimizer": "sgd",
                "loss_scaling": "dynamic" if training.policy.loss_scaling else "none",
                **{choice.name: choice.value for choice in choices},
            },
            proof=proof,
            findings=(
                *training_findings(progress.history, self._instruments.history, telemetry),
                *self._instruments.findings_of_others(telemetry),
                *progress.earlier_findings,
            ),
            process=process,
            environment=job.environment,
            reasons={choice.name: choice.reason for choice in choices},
            test_predictions=predictions,
            telemetry=telemetry,
            world_size=job.world_size,
        )
