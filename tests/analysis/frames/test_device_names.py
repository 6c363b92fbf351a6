"""Short names of devices: short, and never one for two devices."""

from __future__ import annotations

import itertools

import pytest

from perfsuite.analysis.frames.device_names import short_device_names
from perfsuite.gpus import GPUS

CATALOGUE = [name for gpu in GPUS.values() for name in gpu.torch_names]

PUBLISHED = [
    "1CC H100 80GB SXM5",
    "A100 80GB PCIe",
    "A100 80GB SXM4",
    "A100-SXM4-40GB",
    "Apple M1 Pro",
    "Apple M3",
    "Apple M3 Max",
    "Apple M3 Pro",
    "B200 192GB",
    "Dell H100 80GB SXM5",
    "DellTexas H100 80GB SXM5",
    "GH200 80GB",
    "GH200 96GB",
    "GTX 1080 Ti",
    "H100 80GB PCIe",
    "H100 80GB PCIe Gen5",
    "H100 80GB SXM5",
    "H200 140GB SXM",
    "LambdaCloud A10",
    "LambdaCloud A100 40GB PCIe",
    "LambdaCloud H100 80GB PCIe Gen5",
    "LambdaCloud V100 16GB",
    "NVIDIA TITAN RTX",
    "Quadro RTX 8000",
    "RAIDZ1 H100 80GB SXM5",
    "RTX 2080 Ti",
    "RTX 3090",
    "RTX 4090",
    "RTX 6000 Ada",
    "RTX A6000",
    "SMC H100 80GB SXM5",
    "TITAN RTX",
    "TITAN V",
    "TITAN Xp",
    "Tesla V100-SXM2-16GB",
]
"""As published training throughputs name their GPUs: timm, Lambda, mac-ml-speed-test, pytorch-gpu-benchmark."""

OTHERS = [
    "2 x NVIDIA A100-SXM4-40GB",
    "AMD EPYC",
    "AMD EPYC 7763 64-Core Processor",
    "AMD Instinct MI300X",
    "Apple M3",
    "Apple M3 Max",
    "GRID A100-10C",
    "Intel(R) Xeon(R) CPU @ 2.20GHz",
    "Intel(R) Xeon(R) Processor",
    "Intel(R) Xeon(R) Processor @ 2.20GHz",
    "Intel(R) Xeon(R) Processor @ 2.60GHz",
    "NVIDIA A100 80GB PCIe",
    "NVIDIA A100-PCIE-40GB",
    "NVIDIA A100-SXM4-40GB MIG 1g.5gb",
    "NVIDIA A100-SXM4-40GB MIG 2g.10gb",
    "NVIDIA GeForce GTX 1060 3GB",
    "NVIDIA GeForce GTX 1060 6GB",
    "NVIDIA GeForce RTX 4090",
    "NVIDIA GeForce RTX 4090 Laptop GPU",
    "NVIDIA H100 NVL",
    "NVIDIA H100 PCIe",
    "T4",
    "tesla t4",
    "Tesla  T4",
    "",
    "NVIDIA",
    "a\x00",
    "a\x01",
    "a\ufffd (1)",
]


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("Tesla T4", "T4"),
        ("NVIDIA L4", "L4"),
        ("NVIDIA A100-SXM4-40GB", "A100"),
        ("Tesla V100-SXM2-16GB", "V100"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA GeForce RTX 3090", "RTX 3090"),
        ("GeForce RTX 2080 Ti", "RTX 2080 Ti"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "RTX 4090 Laptop"),
        ("NVIDIA RTX A6000", "RTX A6000"),
        ("NVIDIA RTX 6000 Ada Generation", "RTX 6000 Ada"),
        ("Quadro RTX 8000", "Quadro RTX 8000"),
        ("NVIDIA TITAN RTX", "TITAN RTX"),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "A100 MIG 1g.5gb"),
        ("2 x NVIDIA A100-SXM4-40GB", "2 x A100"),
        ("AMD Instinct MI300X", "MI300X"),
        ("AMD Radeon RX 7900 XTX", "RX 7900 XTX"),
        ("Apple M3 Max", "Apple M3 Max"),
        ("Intel(R) Xeon(R) Processor @ 2.60GHz", "Xeon 2.60GHz"),
        ("Intel(R) Xeon(R) CPU E5-2680 v2 @ 2.80GHz", "Xeon E5-2680 v2"),
        ("11th Gen Intel(R) Core(TM) i7-11700KF @ 3.60GHz", "Core i7-11700KF"),
        ("AMD EPYC 7763 64-Core Processor", "EPYC 7763"),
        ("AMD Ryzen 5 2600X Six-Core Processor", "Ryzen 5 2600X"),
        ("AMD Ryzen 5 7430U with Radeon Graphics", "Ryzen 5 7430U"),
        ("NVIDIA", "NVIDIA"),
        ("", "unknown device"),
        ("a\x1b[31m", "a\ufffd[31m"),
    ],
)
def test_a_device_alone_has_the_name_that_people_call_it(name: str, short: str) -> None:
    assert short_device_names([name]) == {name: short}


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["NVIDIA A100-SXM4-40GB", "NVIDIA A100-SXM4-80GB"], ["A100 40GB", "A100 80GB"]),
        (["NVIDIA A100-SXM4-80GB", "NVIDIA A100 80GB PCIe"], ["A100 SXM4", "A100 PCIe"]),
        (["NVIDIA H100 80GB HBM3", "NVIDIA H100 PCIe", "NVIDIA H100 NVL"], ["H100 HBM3", "H100 PCIe", "H100 NVL"]),
        (["NVIDIA A100-SXM4-40GB", "A100-SXM4-40GB"], ["NVIDIA A100-SXM4-40GB", "A100-SXM4-40GB"]),
        (
            ["A100-SXM4-40GB", "A100-SXM4-80GB", "A100 80GB PCIe"],
            ["A100 SXM4 40GB", "A100 SXM4 80GB", "A100 PCIe 80GB"],
        ),
        (["Tesla T4", "T4", "NVIDIA L4"], ["Tesla T4", "T4", "L4"]),
    ],
)
def test_devices_of_one_model_are_named_alike_by_what_differs(names: list[str], short: list[str]) -> None:
    assert list(short_device_names(names).values()) == short


def test_no_two_devices_have_one_short_name() -> None:
    names = list(dict.fromkeys([*CATALOGUE, *OTHERS]))
    everything = short_device_names(names)
    assert len({short.casefold() for short in everything.values()}) == len(set(names))
    for pair in itertools.combinations(names, 2):
        first, second = short_device_names(pair).values()
        assert first.casefold() != second.casefold(), pair


def test_a_short_name_is_no_longer_than_the_whole_and_repeated_names_count_once() -> None:
    short = short_device_names([*CATALOGUE, *CATALOGUE])
    assert list(short) == list(dict.fromkeys(CATALOGUE))
    assert all(len(text) <= len(name) for name, text in short.items())


def test_published_figures_have_a_short_name_for_each_of_their_gpus() -> None:
    short = short_device_names(PUBLISHED)
    assert len(set(short.values())) == len(PUBLISHED) == 35
    assert short["H200 140GB SXM"] == "H200"
    assert (short["A100 80GB PCIe"], short["A100 80GB SXM4"]) == ("A100 PCIe 80GB", "A100 SXM4 80GB")
    assert (short["NVIDIA TITAN RTX"], short["TITAN RTX"]) == ("NVIDIA TITAN RTX", "TITAN RTX")
