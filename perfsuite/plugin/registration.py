"""The suite's command-line options as pytest lists them: names, defaults, help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.measure.budget import OVERHEAD_TIME_S
from perfsuite.plugin.options import DEFAULT_MODELS, DEFAULT_PRECISIONS, RANK_TIMEOUT_S
from perfsuite.precisions import POLICIES
from perfsuite.records.scaling import COMPRESSIONS, STRATEGIES
from perfsuite.records.workload import COMPILE_MODES, IMAGE_SIZE, NOT_COMPILED, NUM_CLASSES

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the options, all with the prefix `--perf-`."""
    group = parser.getgroup("perfsuite", "performance suite")
    group.addoption(
        "--perf-device",
        default="auto",
        metavar="DEVICE",
        help="auto (CUDA where available, else the CPU), cpu, cuda or cuda:N (N as torch numbers GPUs); default: auto",
    )
    group.addoption(
        "--perf-devices",
        default=None,
        metavar="N,N[,...]",
        help="full trainings only: train side by side on these devices, one cell on each: 0,1,2,3 or cuda:0,cuda:1 "
        "(as torch numbers GPUs, all of one model), cpu,cpu to share a CPU; default: one by one on --perf-device",
    )
    group.addoption(
        "--perf-world-size",
        default="1",
        metavar="N",
        help="full trainings only: train each one on N devices, which share every batch of the recipe (DDP): cuda:0 to "
        "cuda:N-1, or those of --perf-devices in groups of N; default: 1",
    )
    group.addoption(
        "--perf-models",
        default=DEFAULT_MODELS,
        metavar="NAMES",
        help="comma-separated; also resnet101, resnet152, resnet18-narrow (an eighth as wide), and networks of others: "
        "torchvision:NAME, timm:NAME, "
        f"package.module:FACTORY, path/to/file.py:FACTORY; default: {DEFAULT_MODELS}",
    )
    group.addoption(
        "--perf-precisions",
        default=DEFAULT_PRECISIONS,
        metavar="NAMES",
        help=f"comma-separated of {', '.join(POLICIES)}, amp (amp-fp16 on CUDA, amp-bf16 on the CPU); "
        f"default: {DEFAULT_PRECISIONS}",
    )
    group.addoption(
        "--perf-batch-size",
        default=None,
        metavar="N[,N...]",
        help="images in a batch; default: 128 on CUDA, 8 on the CPU",
    )
    group.addoption(
        "--perf-image-size",
        default=None,
        metavar="N[,N...]",
        help="height and width of the synthetic images in pixels; ResNets have the CIFAR form below 64 and "
        f"torchvision's own stem from there on; default: {IMAGE_SIZE}, 224 for networks of torchvision and timm",
    )
    group.addoption(
        "--perf-classes",
        default=None,
        metavar="N",
        help="number of classes, outputs of the networks; default: "
        f"{NUM_CLASSES}, 1000 for networks of torchvision and timm",
    )
    group.addoption(
        "--perf-memory-format",
        default="contiguous",
        metavar="NAMES",
        help="comma-separated of contiguous (NCHW), channels_last (NHWC); default: contiguous",
    )
    group.addoption(
        "--perf-gradients",
        default="freed",
        metavar="NAMES",
        help="comma-separated of freed (set to None by zero_grad), kept (zeroed in place, as in the thesis); "
        "default: freed",
    )
    group.addoption(
        "--perf-recipe",
        default="thesis",
        metavar="NAME|PATH",
        help="hyperparameters of full trainings: thesis, smoke (takes minutes on a CPU), or the path of a .toml file; "
        "default: thesis",
    )
    group.addoption(
        "--perf-seeds",
        default="1",
        metavar="N",
        help="number of full trainings per network and precision, with seeds 0 to N-1; default: 1",
    )
    group.addoption(
        "--perf-data",
        default=None,
        metavar="PATH",
        help="images to train on: what `perfsuite data` has stored, or class folders in a folder or archive; default: "
        "$PERFSUITE_DATA, else the user's cache folder, downloaded on first use",
    )
    group.addoption(
        "--perf-run-dir",
        default=None,
        metavar="DIR",
        help="checkpoints and finished trainings; default: results/trainings",
    )
    group.addoption("--perf-restart", action="store_true", default=False, help="start full trainings over")
    group.addoption(
        "--perf-deterministic",
        action="store_true",
        default=False,
        help="full trainings give the same weights every time",
    )
    group.addoption(
        "--perf-no-profile",
        action="store_true",
        default=False,
        help="leave out the profiles that are taken after the last timed cell",
    )
    group.addoption(
        "--perf-overhead-time",
        default=str(OVERHEAD_TIME_S),
        metavar="SECONDS",
        help="maximum extra time to measure while a check of the harness overhead (-m overhead) is inconclusive; "
        f"default: {OVERHEAD_TIME_S}",
    )
    group.addoption(
        "--perf-quick",
        action="store_true",
        default=False,
        help="quick results in a quarter of the time: of the step benchmarks only whole training steps, few rounds, "
        "no profiles; results are marked as quick",
    )
    group.addoption(
        "--perf-turn-time",
        default=None,
        metavar="SECONDS",
        help="how long each turn of -m interleaved lasts, its first half untimed, so that each "
        "side reaches its own sustained clock; default: turns of 0.07 s, which share one clock",
    )
    group.addoption(
        "--perf-preheat",
        default=None,
        metavar="SECONDS",
        help="minimum time to keep the device busy before the first benchmark, so that clocks and temperature settle; "
        "default: until times are stable, 5 to 10 s on CUDA",
    )
    group.addoption(
        "--perf-world-sizes",
        default=None,
        metavar="N[,N...]",
        help="for -m scaling: numbers of devices, one rank each; default: 1, 2, 4, ... and all GPUs, 1 and 2 on a CPU",
    )
    group.addoption(
        "--perf-global-batch-size",
        default=None,
        metavar="N",
        help="for -m scaling: images in a batch of all ranks together (strong scaling); default: each rank has "
        "--perf-batch-size (weak scaling)",
    )
    group.addoption(
        "--perf-strategy",
        default=STRATEGIES[0],
        metavar="NAMES",
        help=f"for -m scaling: comma-separated of {', '.join(STRATEGIES)}; default: {STRATEGIES[0]}",
    )
    group.addoption(
        "--perf-gradient-compression",
        default=COMPRESSIONS[0],
        metavar="NAMES",
        help="for -m scaling: type that gradients are compressed to for the exchange, comma-separated of "
        f"{', '.join(COMPRESSIONS)}; default: {COMPRESSIONS[0]}",
    )
    group.addoption(
        "--perf-rank-timeout",
        default=str(RANK_TIMEOUT_S),
        metavar="SECONDS",
        help=f"for -m scaling: stop a cell after this time without progress of any rank; default: {RANK_TIMEOUT_S}",
    )
    group.addoption(
        "--perf-cudnn-benchmark",
        action="store_true",
        default=False,
        help="let cuDNN time its algorithms and take the fastest, in steps and full trainings; default: off, as in "
        "PyTorch",
    )
    group.addoption(
        "--perf-compile",
        default=NOT_COMPILED,
        metavar="MODES",
        help=f"comma-separated of {', '.join(COMPILE_MODES)}: measure torch.compile(model, mode=...); default: "
        f"{NOT_COMPILED}",
    )
    group.addoption(
        "--perf-cuda-graphs",
        default="off",
        metavar="off[,on]",
        help="comma-separated of off, on: capture an iteration as a CUDA graph and measure its replay; default: off",
    )
