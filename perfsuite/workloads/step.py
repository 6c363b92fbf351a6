"""One training step and its phases: forward, backward, whole step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from perfsuite.errors import InvalidChoiceError, MeasurementError, ModelError
from perfsuite.records.workload import PHASES
from perfsuite.workloads.built_network import BuiltNetwork, seeded
from perfsuite.workloads.measurable import Iteration
from perfsuite.workloads.model_spec import run_network
from perfsuite.workloads.optimizer import SkippedSteps, make_sgd, optimizer_in_words, rounding_generator
from perfsuite.workloads.precision import autocast, cast_inputs, cast_outputs

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.records.workload import Workload

MOMENTUM = 0.9
"""Source: the thesis's recipe (SGD with momentum 0.9)."""

LEARNING_RATE = 1e-6
"""So small that thousands of steps on one batch leave the network as it was initialised. With the recipe's 0.1 it would
have learnt the batch by heart after some dozen steps, gradients would fade into subnormals and zeros, and a step on
those takes another time and another power than a step of real training. The value itself costs no time."""

MAX_SETTLING_STEPS = 40
"""Steps within which the loss scale must have stabilised. It starts at 2**16 and is halved by every overflow, so
after 40 of them it is far below 2**-14, the smallest normal number of FP16: whatever still overflows is no gradient.
Source: torch.amp.GradScaler, init_scale and backoff_factor; IEEE 754-2019 table 3.5."""


class TrainingStep(BuiltNetwork):
    """A network, one batch and an optimizer on a device, and the three phases that are timed.

    Everything inside a phase is inside the timed window; nothing in it waits for the device. Attributes are those of
    `BuiltNetwork`, and:

    Attributes:
        optimizer: SGD with momentum; see `make_sgd`.
        scaler: Of the loss; disabled where the precision needs none.
        num_skipped: How many optimizer steps the scaler skipped, counted on the device: [] float32.
    """

    def __init__(self, workload: Workload, *, device: torch.device, seed: int = 0) -> None:
        """Build everything, in the state of a network in training: momentum allocated, gradients as the workload says.

        Args:
            workload: What to build.
            device: Where.
            seed: Seed of weights and batch.

        Raises:
            InvalidChoiceError: A name in the workload is unknown.
            InstallationError: torchvision does not import.
            ModelError: What builds the network or its batch raises, or returns none; or it has nothing to train.
        """
        if workload.phase not in PHASES:
            raise InvalidChoiceError(f"unknown phase {workload.phase!r}; choose from {', '.join(PHASES)}")
        super().__init__(workload, device=device, seed=seed)
        if not any(parameter.requires_grad for parameter in self.model.parameters()):
            raise ModelError(f"{workload.model}: no parameter of it is trained; only -m inference can measure it")
        self.optimizer = make_sgd(
            self.model,
            self.policy,
            device_type=workload.device_type,
            learning_rate=LEARNING_RATE,
            momentum=MOMENTUM,
            seed=seed,
        )
        generator = rounding_generator(self.optimizer)
        self.generators = () if generator is None else (generator,)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.policy.loss_scaling)
        # Without loss scaling nothing is ever skipped, and no hook has to run.
        skipped = SkippedSteps(self.optimizer, device) if self.policy.loss_scaling else None
        self.num_skipped = torch.zeros((), device=device) if skipped is None else skipped.count
        self._set_to_none = workload.gradients == "freed"
        self._retained: torch.Tensor | None = None

    @property
    def settings(self) -> dict[str, str | int | float | bool]:
        """What is pinned in every step, by name, for the record."""
        return {
            "optimizer": "sgd",
            "optimizer_implementation": optimizer_in_words(self.policy, self.workload.device_type),
            "momentum": MOMENTUM,
            "learning_rate": LEARNING_RATE,
            "loss_scaling": "dynamic" if self.policy.loss_scaling else "none",
            **super().settings,
        }

    @property
    def body(self) -> Callable[[], object]:
        """The body of the workload's phase: no arguments, no waiting for the device."""
        bodies: dict[str, Callable[[], object]] = {
            "forward": self.forward,
            "backward": self.backward,
            "train_step": self.train_step,
        }
        return bodies[self.workload.phase]

    def loss(self) -> torch.Tensor:
        """Run network and loss in the precision of the workload; the unscaled loss, [] floating point."""
        with autocast(self.policy, self.device.type):
            outputs = run_network(self.network, cast_inputs(self.policy, self.inputs))
            return self.spec.loss(cast_outputs(self.policy, outputs), self.targets)

    def forward(self) -> torch.Tensor:
        """Run network and loss in training mode, the graph for backward built.

        Inside the window: autocast region, casts of the weights or of the batch, network, loss, and the release of the
        graph when the caller drops the loss. Outside: everything else.

        Returns:
            The unscaled loss, [] float32.
        """
        self.num_iterations += 1
        return self.loss()

    def retain_graph(self) -> None:
        """Build the one graph that `backward` walks again and again."""
        self._retained = self.scaler.scale(self.forward())

    def release_graph(self) -> None:
        """Drop the retained graph and its activations."""
        self._retained = None

    def backward(self) -> None:
        """Compute the gradients of the scaled loss on the retained graph.

        Inside the window: setting the gradients to None, the backward pass with fresh gradient tensors (zeroing them in
        place and adding to them, where the workload keeps gradients). Outside: the forward pass, loss scaling, freeing
        the activations (the graph is kept, which is what lets this be looped).

        Raises:
            MeasurementError: There is no retained graph.
        """
        self.num_iterations += 1
        if self._retained is None:
            raise MeasurementError("backward was asked for without a retained graph")
        self.optimizer.zero_grad(set_to_none=self._set_to_none)
        self._retained.backward(retain_graph=True)  # type: ignore[no-untyped-call]

    def train_step(self) -> None:
        """Do one whole training step.

        Inside the window: zero_grad, forward, loss, loss scaling, backward with the graph freed as it is consumed,
        optimizer step (unscaling included), scaler update, counting of a skipped step. Outside: loading of data.
        """
        self.num_iterations += 1
        self.optimizer.zero_grad(set_to_none=self._set_to_none)
        self.scaler.scale(self.loss()).backward()  # type: ignore[no-untyped-call]
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def settle(self) -> None:
        """Train until a step was not skipped: the loss scale has stabilised then.

        Raises:
            MeasurementError: Every step overflows.
        """
        for _ in range(MAX_SETTLING_STEPS):
            before = float(self.num_skipped)
            self.train_step()
            if float(self.num_skipped) == before:
                return
        raise MeasurementError(f"{MAX_SETTLING_STEPS} training steps in a row overflowed in {self.policy.name}")

    def scale_is_dynamic(self) -> bool:
        """Whether the loss is really being scaled now; reads the device, so never to be called in a timed body."""
        return self.scaler.is_enabled() and self.scaler.get_scale() > 0

    def zero_gradients(self) -> None:
        """Bring the gradients into the state in which a step begins: None if freed, zero if kept."""
        self.optimizer.zero_grad(set_to_none=self._set_to_none)

    def gradients(self) -> list[torch.Tensor]:
        """Return copies of the gradients, in the order of the parameters, each in the type of its weight."""
        return [parameter.grad.detach().clone() for parameter in self.model.parameters() if parameter.grad is not None]

    def check_retained_backward(self) -> float:
        """Check that walking the retained graph again gives what a fresh graph gives.

        Runs two backward passes on the retained graph and one on a fresh graph over the same batch, and compares the
        gradients of the second with those of the third.

        Returns:
            ||difference|| / ||gradient|| over all parameters.

        Raises:
            MeasurementError: It is beyond the tolerance of the precision, or a gradient is missing.
        """
        with seeded(self.device):  # dropout draws the same mask for both graphs
            self.retain_graph()
        scale = self.scaler.get_scale()
        self.backward()
        self.backward()
        retained = self.gradients()
        self.optimizer.zero_grad(set_to_none=True)
        with seeded(self.device):
            fresh_loss = self.scaler.scale(self.forward())
        fresh_loss.backward()  # type: ignore[no-untyped-call]
        fresh = self.gradients()
        if len(retained) != len(fresh) or not fresh or scale != self.scaler.get_scale():
            raise MeasurementError("backward on the retained graph and on a fresh one gave different sets of gradients")
        error = float(_norm([a.double() - b.double() for a, b in zip(retained, fresh, strict=True)]) / _norm(fresh))
        limit = self.policy.gradient_tolerance
        if not error <= limit:
            raise MeasurementError(
                f"backward on the retained graph differs from a fresh one by {error:.1e}; at most {limit:.0e} is sound"
            )
        self.optimizer.zero_grad(set_to_none=True)
        return error

    def prepare(self) -> None:
        """Bring the step into the state in which an iteration of its phase begins."""
        self.zero_gradients()
        if self.workload.phase == "backward":
            self.retain_graph()

    def memory_iteration(self) -> Iteration:
        """Return the phase as training runs it: the backward pass on a fresh graph that is freed as it is consumed."""
        self.release_graph()
        self.zero_gradients()
        graph: list[torch.Tensor] = []

        def prepare_backward() -> None:
            self.zero_gradients()
            graph[:] = [self.scaler.scale(self.forward())]

        def run_backward() -> None:
            graph.pop().backward()  # type: ignore[no-untyped-call]

        iterations: dict[str, Iteration] = {
            "forward": Iteration(prepare=self.zero_gradients, run=self.forward),
            "backward": Iteration(prepare=prepare_backward, run=run_backward),
            "train_step": Iteration(prepare=lambda: None, run=self.train_step),
        }
        return iterations[self.workload.phase]

    def resident_tensors(self) -> list[torch.Tensor]:
        """Return what lives between two steps: parameters, buffers, gradients, optimizer state, scaler, batch."""
        found = super().resident_tensors()
        found += [parameter.grad for parameter in self.model.parameters() if parameter.grad is not None]
        for state in self.optimizer.state.values():
            found += [value for value in state.values() if isinstance(value, torch.Tensor)]
        return [*found, self.num_skipped]

    def close(self) -> None:
        """Let go of everything on the device, and of what was compiled."""
        self._retained = None
        self.optimizer.zero_grad(set_to_none=True)
        self.optimizer.state.clear()
        super().close()


def _norm(tensors: list[torch.Tensor]) -> torch.Tensor:
    norm: torch.Tensor = torch.stack([tensor.double().norm() for tensor in tensors]).norm()
    return norm
