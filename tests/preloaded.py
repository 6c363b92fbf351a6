"""What processes of tests need before they do anything, imported once for all of them: see `forked`."""

from __future__ import annotations

import importlib

MODULES = (
    "hypothesis",  # its plugin is part of the pytest that is run
    "killed_training",
    "perfsuite.analysis.tables.registry",
    "perfsuite.measure.dry_run",
    "perfsuite.measure.harness",
    "perfsuite.measure.scaling.rank_run",
    "pytest_benchmark.plugin",
    "rank_tasks",
    "torch._dynamo",  # imported by the first network that is shared
    "torch.distributed.fsdp",
    "torchvision",
)

for name in MODULES:
    importlib.import_module(name)
