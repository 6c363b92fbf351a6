from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from foreign_files import needs_public_files, ordinary_rounds, public_files, write_foreign

from perfsuite.analysis.frames.results import collect
from perfsuite.analysis.load.machine_info import machine_of, versions_of
from perfsuite.analysis.load.result_file import read_result_file
from perfsuite.analysis.tables.registry import build_table
from perfsuite.analysis.tables.terminal import render_terminal
from perfsuite.analysis.verdicts.compare import compare
from perfsuite.analysis.verdicts.process_results import read_process
from perfsuite.analysis.verdicts.samples import join_sides

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from perfsuite.analysis.verdicts.compare import Comparison

A100 = "NVIDIA A100-SXM4-40GB"


def compared(old: Sequence[Path], new: Sequence[Path]) -> Comparison:
    return compare(join_sides([read_process(path) for path in old], [read_process(path) for path in new]))


@pytest.mark.parametrize(
    ("gpu", "name"),
    [
        (A100, A100),
        ({"name": A100, "totalGlobalMem": 40}, A100),
        ({"product_name": A100}, A100),
        ({"model": A100, "count": 1}, A100),
        ({"0": {"name": A100}}, A100),
        ([{"name": A100}], A100),
        ([A100, A100], f"2 x {A100}"),
        ([{"name": A100}, {"name": "Tesla T4"}], f"{A100}, Tesla T4"),
        ({"name": f"UNSERIALIZABLE[b'{A100}']"}, A100),
        (f"UNSERIALIZABLE[_CudaDeviceProperties(name='{A100}', major=8, minor=0)]", A100),
        (f"UNSERIALIZABLE[mappingproxy({{'name': '{A100}'}})]", A100),
        (f"UNSERIALIZABLE[{A100}]", A100),
    ],
)
def test_a_gpu_is_read_in_every_form_that_occurs(gpu: Any, name: str, tmp_path: Path) -> None:
    path = write_foreign(tmp_path / "a.json", machine={"gpu": gpu})
    assert machine_of(read_result_file(path))["GPU"] == name
    assert collect([path]).benchmarks["device"].tolist() == [name]


@pytest.mark.parametrize(
    "gpu",
    [
        *(None, 3, True, "", "unknown", [], {}, {"name": None}, {"memory": 3}, [[[[["x"]]]]]),
        *("UNSERIALIZABLE[<GPUtil.GPUtil.GPU object at 0x7f6008a5fb00>]", "UNSERIALIZABLE[]"),
        *(f"UNSERIALIZABLE[{text}]" for text in ("[" * 10**6, "<" + "x" * 10**6)),
    ],
)
def test_what_names_no_gpu_identifies_none(gpu: Any, tmp_path: Path) -> None:
    path = write_foreign(tmp_path / "a.json", machine={"gpu": gpu})
    assert "GPU" not in machine_of(read_result_file(path))


def test_the_text_of_an_object_is_searched_and_never_run(tmp_path: Path) -> None:
    made = tmp_path / "made"
    code = f"__import__('pathlib').Path({str(made)!r}).touch()"
    path = write_foreign(tmp_path / "a.json", machine={"gpu": {"name": f"UNSERIALIZABLE[{code}]"}})
    machine_of(read_result_file(path))
    assert not made.exists()


@pytest.mark.parametrize(
    "gpu", ["x" * 10**6, "UNSERIALIZABLE[" + "b'" * 10**6, {"name": "UNSERIALIZABLE[" + "y" * 10**6}]
)
def test_a_long_name_is_cut(gpu: Any, tmp_path: Path) -> None:
    path = write_foreign(tmp_path / "a.json", machine={"gpu": gpu, "cpu": {"brand_raw": "y" * 10**6}})
    found = machine_of(read_result_file(path))
    assert (len(found["CPU"]), len(found["GPU"])) == (200, 200)


@pytest.mark.parametrize(
    ("cpu", "name"),
    [
        ({"brand": "Intel(R) Core(TM) i7-7700K"}, "Intel(R) Core(TM) i7-7700K"),
        ({"brand_raw": "EPYC", "brand": "old"}, "EPYC"),
        ("Apple M2", "Apple M2"),
        ({"brand": "unknown", "vendor_id": "unknown"}, None),
        ({"model": 85}, None),
        (7, None),
        (None, None),
    ],
)
def test_a_cpu_is_read_as_every_version_of_pytest_benchmark_writes_it(
    cpu: Any, name: str | None, tmp_path: Path
) -> None:
    path = write_foreign(tmp_path / "a.json", machine={"cpu": cpu})
    assert machine_of(read_result_file(path)).get("CPU") == name
    assert collect([path]).benchmarks["cpu"].tolist() == [name]
    assert read_process(path).machine.get("CPU") == name


@pytest.mark.parametrize(
    "machines",
    [
        ({"gpu": {"name": "UNSERIALIZABLE[b'Radeon Vega']"}}, {"gpu": {"name": "UNSERIALIZABLE[b'RTX 3070']"}}),
        ({"cpu": {"brand": "i7-7700K"}}, {"cpu": {"brand": "Xeon 6230"}}),
        ({"node": "one"}, {"node": "other"}),
    ],
)
def test_other_hardware_is_incomparable_in_files_of_others(
    machines: tuple[dict[str, Any], ...], tmp_path: Path
) -> None:
    sides = [
        [
            write_foreign(
                tmp_path / f"{side}{n}.json", {"test_a": ordinary_rounds(seed=10 * side + n)}, machine=machine
            )
            for n in range(3)
        ]
        for side, machine in enumerate(machines)
    ]
    assert compared(*sides).count() == {"incomparable": 1}


def test_other_versions_are_a_note_and_not_another_machine(tmp_path: Path) -> None:
    sides = [
        [
            write_foreign(
                tmp_path / f"{side}{n}.json",
                {"test_a": ordinary_rounds(seed=10 * side + n)},
                machine={"pytorch_version": version, "gpu": {"name": "T4", "driver_version": "580.95"}},
            )
            for n in range(3)
        ]
        for side, version in enumerate(("1.5.1", "1.6.0"))
    ]
    comparison = compared(*sides)
    assert "incomparable" not in comparison.count()
    assert "torch differs: 1.5.1 in the baseline, 1.6.0 in the candidate" in comparison.notes
    frame = collect([*sides[0], *sides[1]]).benchmarks
    assert frame["torch"].tolist() == ["1.5.1"] * 3 + ["1.6.0"] * 3
    assert set(frame["driver"]) == {"580.95"}


@pytest.mark.parametrize(
    ("machine", "versions"),
    [
        ({"pytorch_version": "1.5.1", "torchvision_version": "0.6.1"}, {"torch": "1.5.1", "torchvision": "0.6.1"}),
        ({"torch_version": "2.0", "cuda_version": 11.8, "cudnn_version": 8902}, ("2.0", "11.8", "8902")),
        ({"cuda": {"version": "12.1"}, "driver": "535.1"}, {"CUDA": "12.1", "driver": "535.1"}),
        (
            {"pytorch_version": "1.13.0a0", "pytorch_git_version": "abcdef0123456789"},
            {"torch": "1.13.0a0+gitabcdef0123"},
        ),
        ({"cuda": True, "torch": None, "driver": [1, 2]}, {}),
        ({"cuda_version": 10**400}, {"CUDA": str(10**400)[:200]}),
    ],
)
def test_versions_are_read_where_others_write_them(machine: dict[str, Any], versions: Any, tmp_path: Path) -> None:
    found = versions_of(read_result_file(write_foreign(tmp_path / "a.json", machine=machine)))
    expected = dict(zip(("torch", "CUDA", "cuDNN"), versions, strict=True)) if isinstance(versions, tuple) else versions
    assert found == expected


def test_a_side_that_mixes_commits_is_noted(tmp_path: Path) -> None:
    old = [
        write_foreign(tmp_path / f"old{n}.json", {"test_a": ordinary_rounds(seed=n)}, commit=str(n) * 40)
        for n in (1, 2)
    ]
    new = [write_foreign(tmp_path / "new.json", {"test_a": ordinary_rounds(seed=3)}, commit="3" * 40)]
    note = "files of several commits are taken together as the baseline: 1111111111, 2222222222"
    assert note in compared(old, new).notes
    assert not any("as the candidate" in text for text in compared(old, new).notes)


@needs_public_files
def test_public_files_of_an_amd_and_an_nvidia_card_are_incomparable() -> None:
    amd, nvidia = public_files("probably-neb+millipyde")
    assert set(compared([amd], [nvidia]).count()) == {"incomparable", "new"}
    text = render_terminal(build_table("steps", collect([amd, nvidia])), width=None, color=False)
    assert "Radeon Vega Frontier Edition" in text
    assert "NVIDIA GeForce RTX 3070" in text


@needs_public_files
def test_the_machine_is_the_same_for_tables_and_for_comparisons() -> None:
    for path in public_files():
        row = collect([path]).benchmarks.iloc[0].to_dict()
        process = read_process(path)
        found = {"GPU": row["device"], "CPU": row["cpu"], "host": row["host"]}
        assert {key: value for key, value in found.items() if value is not None} == process.machine
        assert process.versions.get("torch") == row["torch"]
