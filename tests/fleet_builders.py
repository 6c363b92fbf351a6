"""Result files of a small fleet."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from builders import ENVIRONMENT
from report_builders import TELEMETRY, step_file

from perfsuite.records.telemetry import Spread

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MODELS = ("resnet18", "resnet34")


def fleet_files(  # noqa: PLR0913 - a fleet has many properties
    folder: Path,
    *,
    num_nodes: int = 5,
    num_repetitions: int = 3,
    slow: Sequence[int] = (2,),
    factor: float = 1.04,
    environments: Sequence[str] = ("torch213",),
    kind: str = "Tesla T4",
    by_hand: bool = False,
    prefix: str = "gpu",
) -> list[Path]:
    """Write a file per node, environment and repetition; slow ones have a lower clock and another driver."""
    paths = []
    for node in range(num_nodes):
        is_slow = node in slow
        name = f"{prefix}-{node:02d}"
        environment = dataclasses.replace(
            ENVIRONMENT, driver="550.54.14" if is_slow else "550.90.07", device=kind, gpu=kind
        )
        for number, fleet_environment in enumerate(environments):
            for repetition in range(num_repetitions):
                path = (
                    folder
                    / f"{kind.replace(' ', '-')}-{prefix[:3]}-{node}-{fleet_environment}-{repetition}.json".replace(
                        "<", ""
                    )
                )
                step_file(
                    path,
                    environment=environment,
                    run_id=f"{kind}-{name}-{number}-{repetition}",
                    seed=1000 * node + 10 * repetition + number,
                    models=MODELS,
                    factor=(factor if is_slow else 1.0) * (1 - 0.1 * number),
                )
                content = json.loads(path.read_text())
                content["machine_info"]["node"] = name
                if not by_hand:
                    content["machine_info"]["perfsuite_fleet"] = {
                        "node": name,
                        "kind": kind,
                        "environment": fleet_environment,
                        "repetition": repetition,
                    }
                _with_telemetry(content, is_slow=is_slow)
                path.write_text(json.dumps(content))
                paths.append(path)
    return paths


def _with_telemetry(content: dict[str, Any], *, is_slow: bool) -> None:
    clock = 1410.0 if is_slow else 1590.0
    telemetry = dataclasses.replace(
        TELEMETRY,
        sm_clock_mhz=Spread(minimum=clock, median=clock, maximum=clock),
        throttle_ratio={"power cap": 0.9 if is_slow else 0.3},
    )
    for entry in content["benchmarks"]:
        entry["extra_info"]["perfsuite"]["telemetry"] = dataclasses.asdict(telemetry)
