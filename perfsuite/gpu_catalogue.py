"""The data sheets of GPUs: peaks of dense products, bandwidth, board power, and where each figure is from.

A new GPU is a line in each of `FIGURES`, `NAMES` and `SOURCES`; in `MESSAGES` where torch tells its memory.
"""

from __future__ import annotations

from perfsuite.formatting import GIB_BYTES
from perfsuite.gpu_sheet import GIGA, MAX_CONTEXT_BYTES, MIN_SHARE, TERA, Gpu, GpuMemory

HALF_TYPES = {
    "pascal": ("fp16",),  # without tensor cores: at twice the rate of FP32 on a P100, slower than FP32 on others
    "volta": ("fp16",),
    "turing": ("fp16",),
    "ampere": ("fp16", "bf16"),
    "ada": ("fp16", "bf16"),
    "hopper": ("fp16", "bf16"),
    "blackwell": ("fp16", "bf16"),
    "cdna2": ("fp16", "bf16"),
    "cdna3": ("fp16", "bf16"),
    "rdna3": ("fp16", "bf16"),
}
"""The types whose products an architecture computes at its 16-bit peak."""

FIGURES = (
    # Name, architecture, SMs, MHz of FP32 and of tensor cores; TFLOPS of FP32, of 16-bit types accumulated in FP32, of
    # TF32; GB/s, W, GiB.
    ("gtx-1080-ti", "pascal", 28, 1582, 1582, 11.3, None, None, 484, 250, 11),
    ("titan-xp", "pascal", 30, 1582, 1582, 12.15, None, None, 547.7, 250, 12),
    ("p100-pcie", "pascal", 56, 1303, 1303, 9.3, 18.7, None, 732, 250, 16),
    ("p100-sxm2", "pascal", 56, 1480, 1480, 10.6, 21.2, None, 732, 300, 16),
    ("v100-pcie", "volta", 80, 1380, 1380, 14, 112, None, 900, 250, 16),
    ("v100", "volta", 80, 1530, 1530, 15.7, 125, None, 900, 300, 16),
    ("v100-sxm3", "volta", 80, 1597, 1597, 16.4, 131, None, 981, 350, 32),
    ("v100s-pcie", "volta", 80, 1597, 1597, 16.4, 130, None, 1134, 250, 32),
    ("titan-v", "volta", 80, 1455, 1455, 14.9, 119, None, 652.8, 250, 12),
    ("t4", "turing", 40, 1590, 1590, 8.1, 65, None, 320, 70, 16),
    ("rtx-2080-ti", "turing", 68, 1545, 1545, 13.4, 53.8, None, 616, 250, 11),
    ("titan-rtx", "turing", 72, 1770, 1770, 16.3, 130.5, None, 672, 280, 24),
    ("rtx-8000", "turing", 72, 1770, 1770, 16.3, 130.5, None, 672, 260, 48),
    ("a100-40gb", "ampere", 108, 1410, 1410, 19.5, 312, 156, 1555, 400, 40),
    ("a100-80gb", "ampere", 108, 1410, 1410, 19.5, 312, 156, 2039, 400, 80),
    ("a100-pcie-40gb", "ampere", 108, 1410, 1410, 19.5, 312, 156, 1555, 250, 40),
    ("a100-pcie-80gb", "ampere", 108, 1410, 1410, 19.5, 312, 156, 1935, 300, 80),
    ("a30", "ampere", 56, 1440, 1440, 10.3, 165, 82, 933, 165, 24),
    ("a10", "ampere", 72, 1695, 1695, 31.2, 125, 62.5, 600, 150, 24),
    ("a10g", "ampere", 80, 1710, 1710, 35, 70, 35, 600, 300, 24),
    ("a5000", "ampere", 64, 1695, 1695, 27.8, 111.1, 55.6, 768, 230, 24),
    ("a6000", "ampere", 84, 1800, 1800, 38.7, 154.8, 77.4, 768, 300, 48),
    ("rtx-3090", "ampere", 82, 1695, 1695, 35.6, 71, 35.6, 936, 350, 24),
    ("l4", "ada", 58, 2040, 2040, 30.3, 121, 60, 300, 72, 24),
    ("l40", "ada", 142, 2490, 2490, 90.5, 181.05, 90.5, 864, 300, 48),
    ("l40s", "ada", 142, 2520, 2520, 91.6, 362.05, 183, 864, 350, 48),
    ("rtx-6000-ada", "ada", 142, 2505, 2505, 91.1, 364.2, 182.1, 960, 300, 48),
    ("rtx-4090", "ada", 128, 2520, 2520, 82.6, 165.2, 82.6, 1008, 450, 24),
    ("h100-pcie", "hopper", 114, 1755, 1620, 51.2, 756, 378, 2000, 350, 80),
    ("h100", "hopper", 132, 1980, 1830, 67, 989.4, 494.7, 3350, 700, 80),
    ("h100-nvl", "hopper", 132, 1785, 1545, 60, 835.5, 417.5, 3900, 400, 94),
    ("h200", "hopper", 132, 1980, 1830, 67, 989.4, 494.7, 4800, 700, 141),
    ("gh200", "hopper", 132, 1980, 1830, 67, 989.4, 494.7, 4000, 900, 96),
    ("b200", "blackwell", 148, 1965, 1850, 75, 2250, 1125, 7700, 1000, 180),
    ("rtx-5090", "blackwell", 170, 2407, 2407, 104.8, 209.5, 104.8, 1792, 575, 32),
    ("mi250x", "cdna2", 110, 1700, 1700, 47.9, 191.5, None, 1638, 280, 64),
    ("mi300x", "cdna3", 304, 2100, 2100, 163.4, 1307.4, 653.7, 5300, 750, 192),
    ("rx-7900-xtx", "rdna3", 96, 2500, 2500, 61.4, 122.8, None, 960, 355, 24),
)

NAMES = {
    "gtx-1080-ti": (
        "GeForce GTX 1080 Ti",
        "NVIDIA GeForce GTX 1080 Ti",
    ),
    "titan-xp": (
        "TITAN Xp",
        "NVIDIA TITAN Xp",
    ),
    "p100-pcie": ("Tesla P100-PCIE-16GB",),
    "p100-sxm2": ("Tesla P100-SXM2-16GB",),
    "v100-pcie": (
        "Tesla V100-PCIE-16GB",
        "Tesla V100-PCIE-32GB",
    ),
    "v100": (
        "Tesla V100-SXM2-16GB",
        "Tesla V100-SXM2-32GB",
        "Tesla V100-SXM2-32GB-LS",
    ),
    "v100-sxm3": (
        "Tesla V100-SXM3-32GB",
        "Tesla V100-SXM3-32GB-H",
    ),
    "v100s-pcie": ("Tesla V100S-PCIE-32GB",),
    "titan-v": (
        "TITAN V",
        "NVIDIA TITAN V",
    ),
    "t4": (
        "Tesla T4",
        "NVIDIA T4",
    ),
    "rtx-2080-ti": (
        "GeForce RTX 2080 Ti",
        "NVIDIA GeForce RTX 2080 Ti",
    ),
    "titan-rtx": (
        "TITAN RTX",
        "NVIDIA TITAN RTX",
    ),
    "rtx-8000": (
        "Quadro RTX 8000",
        "NVIDIA Quadro RTX 8000",
    ),
    "a100-40gb": (
        "NVIDIA A100-SXM4-40GB",
        "A100-SXM4-40GB",
    ),
    "a100-80gb": (
        "NVIDIA A100-SXM4-80GB",
        "A100-SXM4-80GB",
    ),
    "a100-pcie-40gb": (
        "NVIDIA A100-PCIE-40GB",
        "A100-PCIE-40GB",
    ),
    "a100-pcie-80gb": (
        "NVIDIA A100 80GB PCIe",
        "NVIDIA A100-PCIE-80GB",
    ),
    "a30": (
        "NVIDIA A30",
        "A30",
    ),
    "a10": (
        "NVIDIA A10",
        "A10",
    ),
    "a10g": ("NVIDIA A10G",),
    "a5000": (
        "NVIDIA RTX A5000",
        "RTX A5000",
    ),
    "a6000": (
        "NVIDIA RTX A6000",
        "RTX A6000",
    ),
    "rtx-3090": (
        "NVIDIA GeForce RTX 3090",
        "GeForce RTX 3090",
    ),
    "l4": ("NVIDIA L4",),
    "l40": ("NVIDIA L40",),
    "l40s": ("NVIDIA L40S",),
    "rtx-6000-ada": ("NVIDIA RTX 6000 Ada Generation",),
    "rtx-4090": ("NVIDIA GeForce RTX 4090",),
    "h100-pcie": ("NVIDIA H100 PCIe",),
    "h100": ("NVIDIA H100 80GB HBM3",),
    "h100-nvl": ("NVIDIA H100 NVL",),
    "h200": ("NVIDIA H200",),
    "gh200": (
        "NVIDIA GH200 480GB",
        "NVIDIA GH200 120GB",
    ),
    "b200": ("NVIDIA B200",),
    "rtx-5090": ("NVIDIA GeForce RTX 5090",),
    "mi250x": ("AMD Instinct MI250X", "AMD Instinct MI250X/MI250", "AMD Instinct MI250X / MI250"),
    "mi300x": ("AMD Instinct MI300X",),
    "rx-7900-xtx": (
        "AMD Radeon RX 7900 XTX",
        "Radeon RX 7900 XTX",
    ),
}
"""What `torch.cuda.get_device_name` and `nvidia-smi -L` say of them, before and after NVIDIA put its name first."""

SOURCES = {
    "gtx-1080-ti": "NVIDIA GeForce GTX 1080 Ti specifications (2017)",
    "titan-xp": "NVIDIA TITAN Xp specifications (2017)",
    "p100-pcie": "NVIDIA Tesla P100 PCIe data sheet (2016)",
    "p100-sxm2": "NVIDIA Tesla P100 SXM2 data sheet (2016)",
    "v100-pcie": "NVIDIA V100 Tensor Core GPU data sheet (2020), PCIe",
    "v100": "NVIDIA V100 Tensor Core GPU data sheet (2020), SXM2: 15.7 TFLOPS FP32, 125 TFLOPS tensor, 900 GB/s",
    "v100-sxm3": "NVIDIA DGX-2 user guide: 350 W; clocks of nvidia-smi, 1,597 and 958 MHz, times units",
    "v100s-pcie": "NVIDIA V100 Tensor Core GPU data sheet (2020), V100S",
    "titan-v": "NVIDIA TITAN V specifications (2017): 5,120 cores, 1,455 MHz, 652.8 GB/s; peaks by units",
    "t4": "NVIDIA T4 data sheet (2019): 8.1 TFLOPS FP32, 65 mixed precision, 70 W; product brief: up to 320 GB/s",
    "rtx-2080-ti": "NVIDIA Turing GPU architecture (2018), table 1, reference board",
    "titan-rtx": "NVIDIA TITAN RTX specifications (2018); tensor figure of the RTX 6000, the same chip",
    "rtx-8000": "NVIDIA Quadro RTX 8000 data sheet (2018)",
    "a100-40gb": "NVIDIA A100 Tensor Core GPU data sheet (2021), 40GB SXM",
    "a100-80gb": "NVIDIA A100 Tensor Core GPU data sheet (2021), 80GB SXM",
    "a100-pcie-40gb": "NVIDIA A100 Tensor Core GPU data sheet (2021), 40GB PCIe",
    "a100-pcie-80gb": "NVIDIA A100 Tensor Core GPU data sheet (2021), 80GB PCIe",
    "a30": "NVIDIA A30 Tensor Core GPU data sheet (2022)",
    "a10": "NVIDIA A10 Tensor Core GPU data sheet (2021)",
    "a10g": "NVIDIA A10G data sheet (2021), as AWS publishes it for G5 instances",
    "a5000": "NVIDIA RTX A5000 data sheet (2021): tensor figures there with sparsity, halved here",
    "a6000": "NVIDIA RTX A6000 data sheet (2021): tensor figures there with sparsity, halved here",
    "rtx-3090": "NVIDIA Ampere GA102 GPU architecture (2021), table 3",
    "l4": "NVIDIA L4 Tensor Core GPU data sheet (2023): tensor figures there with sparsity, halved here",
    "l40": "NVIDIA L40 data sheet (2023)",
    "l40s": "NVIDIA L40S data sheet (2023)",
    "rtx-6000-ada": "NVIDIA Ada GPU architecture (2023), table of the RTX 6000",
    "rtx-4090": "NVIDIA Ada GPU architecture (2023), table of the RTX 4090",
    "h100-pcie": "NVIDIA H100 Tensor Core GPU architecture (2022) and data sheet, PCIe: dense figures",
    "h100": "NVIDIA H100 Tensor Core GPU architecture (2022) and data sheet, SXM5: dense figures",
    "h100-nvl": "NVIDIA H100 Tensor Core GPU data sheet (2024), NVL: tensor figures there with sparsity, halved here",
    "h200": "NVIDIA H200 Tensor Core GPU data sheet (2024), SXM: tensor figures there with sparsity, halved here",
    "gh200": "NVIDIA GH200 Grace Hopper Superchip data sheet (2023), 96 GB HBM3: dense figures",
    "b200": "NVIDIA HGX B200 data sheet (2024): a board of eight, with sparsity; an eighth and half of it here",
    "rtx-5090": "NVIDIA RTX Blackwell GPU architecture (2025), table of the RTX 5090",
    "mi250x": "AMD Instinct MI250X data sheet (2021): matrix figures of a board of two chips, halved",
    "mi300x": "AMD Instinct MI300X data sheet (2023): dense figures",
    "rx-7900-xtx": "AMD Radeon RX 7900 XTX specifications (2022)",
}

MESSAGES = {
    "p100-pcie": (15.89, 0.31, "github.com/vllm-project/vllm/issues/13255"),
    "v100": (15.75, None, "github.com/pytorch/pytorch/issues/16036; the smaller board"),
    "titan-v": (11.78, None, "github.com/lzccccc/SMOKE/issues/46"),
    "t4": (14.56, 0.13, "github.com/Zheng-Chong/CatVTON/issues/133"),
    "rtx-2080-ti": (10.76, None, "github.com/ispc-lab/TMA/issues/5"),
    "rtx-8000": (47.46, None, "github.com/Victarry/stable-dreambooth/issues/8"),
    "a100-40gb": (39.50, 0.49, "github.com/TianheWu/CoSeR/issues/10"),
    "a100-80gb": (79.25, 0.49, "github.com/levihsu/OOTDiffusion/issues/235; context of an A100 40GB"),
    "a30": (23.50, None, "github.com/LHRLAB/ChatKBQA/issues/2"),
    "a10": (22.18, 0.28, "github.com/OpenBMB/MiniCPM-V/issues/640"),
    "rtx-3090": (23.69, None, "github.com/ucwxb/GraphAvatar/issues/4"),
    "l4": (22.03, 0.23, "github.com/ArcInstitute/evo2/issues/190"),
    "l40": (44.40, 0.49, "github.com/NVlabs/Eagle/issues/68"),
    "l40s": (44.42, 0.41, "github.com/stepfun-ai/Step-Video-T2V/issues/8"),
    "rtx-6000-ada": (44.43, 0.42, "github.com/DINGYANB/MTVCrafter/issues/21, with ECC; without it 47.38"),
    "rtx-4090": (23.64, 0.49, "github.com/3DTopia/Phidias-Diffusion/issues/8"),
    "h100": (79.11, 0.51, "github.com/vllm-project/vllm/issues/27508; context of an H200, the same chip"),
    "h100-nvl": (93.00, 0.66, "github.com/ali-vilab/VACE/issues/56"),
    "h200": (139.81, 0.51, "github.com/sungwon-chae/arxiv_confi, etu_logging.md"),
    "gh200": (94.50, None, "github.com/vllm-project/vllm/issues/9630"),
    "rtx-5090": (31.37, 0.58, "github.com/Wan-Video/Wan2.1/issues/465"),
    "mi300x": (191.98, None, "github.com/vllm-project/vllm/issues/7951"),
    "rx-7900-xtx": (23.98, None, "github.com/ROCm/ROCm/issues/5519"),
}
"""GiB that torch says it has, GiB that a CUDA context takes of it where the message tells, and where it stands; see
`GpuMemory`. Newer drivers keep up to 0.25 GiB more for themselves, and ECC takes 6% of boards without HBM."""

HALF_RATE = "its tensor cores accumulate in FP32, as torch does, at half the rate that its sheet shows first"

NOTES = {
    "t4": "at its 70 W its clock falls under load, to about 900 of 1,590 MHz: FP32 then takes up to 1.8 times as long",
    "gh200": "the power is that of the module with its CPU, 450 to 1,000 W",
    "mi250x": "one of the board's two chips: torch sees them as two GPUs",
    "rtx-2080-ti": HALF_RATE,
    "rtx-3090": HALF_RATE,
    "rtx-4090": HALF_RATE,
    "rtx-5090": HALF_RATE,
    "a10g": HALF_RATE,
}


def _memory(name: str, gib: float) -> GpuMemory:
    if name in MESSAGES:
        torch_gib, context_gib, source = MESSAGES[name]
        context_bytes = MAX_CONTEXT_BYTES if context_gib is None else round(context_gib * GIB_BYTES)
        return GpuMemory(total_bytes=round(torch_gib * GIB_BYTES), context_bytes=context_bytes, source=source)
    source = f"no message found; by rule {MIN_SHARE:.0%} of its {gib:g} GiB, and the largest context known"
    return GpuMemory(total_bytes=round(MIN_SHARE * gib * GIB_BYTES), context_bytes=MAX_CONTEXT_BYTES, source=source)


def catalogue() -> tuple[Gpu, ...]:
    """Return all data sheets."""
    sheets = []
    for name, architecture, sms, mhz, tensor_mhz, fp32, half, tf32, gb_per_second, watts, gib in FIGURES:
        peaks = {"fp32": fp32 * TERA}
        if tf32 is not None:
            peaks["tf32"] = tf32 * TERA
        if half is not None:
            peaks.update(dict.fromkeys(HALF_TYPES[architecture], half * TERA))
        sheet = Gpu(
            name=name,
            torch_names=NAMES[name],
            architecture=architecture,
            num_sms=sms,
            boost_mhz=mhz,
            tensor_mhz=tensor_mhz,
            peak_flops=peaks,
            bytes_per_second=gb_per_second * GIGA,
            power_watts=watts,
            source=SOURCES[name],
            memory=_memory(name, gib),
            note=NOTES.get(name, ""),
        )
        sheets.append(sheet)
    return tuple(sheets)
