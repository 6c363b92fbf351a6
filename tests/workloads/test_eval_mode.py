from __future__ import annotations

import pytest
import torch
from builders import make_workload

from perfsuite.errors import InvalidChoiceError
from perfsuite.workloads.inference import Inference

CPU = torch.device("cpu")


def built(**changes: object) -> Inference:
    values = {"phase": "inference", "batch_size": 2, "device_type": "cpu", **changes}
    return Inference(make_workload(**values), device=CPU)


def test_a_network_is_asked_in_eval_mode_without_a_graph() -> None:
    inference = built()
    before = {name: buffer.clone() for name, buffer in inference.model.named_buffers()}
    outputs = inference.infer()
    assert isinstance(outputs, torch.Tensor)
    assert (tuple(outputs.shape), outputs.requires_grad, outputs.is_inference()) == ((2, 10), False, True)
    assert all(torch.equal(buffer, before[name]) for name, buffer in inference.model.named_buffers())
    with torch.no_grad():
        assert torch.allclose(outputs, inference.model(inference.inputs))


def test_a_precision_is_that_of_training() -> None:
    outputs = built(precision="amp-bf16").infer()
    assert isinstance(outputs, torch.Tensor)
    assert outputs.dtype == torch.bfloat16


def test_nothing_but_network_and_batch_is_resident() -> None:
    inference = built()
    held = sum(tensor.numel() for tensor in inference.resident_tensors() if tensor.is_floating_point())
    buffers = [buffer for buffer in inference.model.buffers() if buffer.is_floating_point()]
    expected = [*inference.model.parameters(), *buffers, inference.inputs]
    assert held == sum(tensor.numel() for tensor in expected)


def test_a_training_step_is_no_inference() -> None:
    with pytest.raises(InvalidChoiceError, match="unknown phase 'train_step'; inference is needed"):
        built(phase="train_step")
