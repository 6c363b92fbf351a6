"""A Ray cluster on this machine in a process of its own; it obeys `kill NAME` and `add NAME KIND`.

It prints a line for each: first its address, then the name. It ends with its standard input.
"""

from __future__ import annotations

import os
import sys
from typing import Any

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

STORE_BYTES = 80_000_000
SETTINGS = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 1000, "health_check_failure_threshold": 5}
"""A node that is gone is noticed after 5 s instead of 15 s."""


def main(kinds: list[str]) -> None:
    """Start a head without CPUs and a node of each kind; obey until the end of standard input."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "object_store_memory": STORE_BYTES, "include_dashboard": False, "_system_config": SETTINGS}
    cluster: Any = Cluster(initialize_head=True, head_node_args=head)
    nodes: dict[str, Any] = {}

    def add(name: str, kind: str) -> None:
        nodes[name] = cluster.add_node(
            num_cpus=1,
            object_store_memory=STORE_BYTES,
            resources={"accelerator_type:T4": 1} if kind == "T4" else {},
            labels={"gpu": "l4"} if kind == "L4" else {},
            node_name=name,
        )

    try:
        for number, kind in enumerate(kinds, start=1):
            add(f"node{number}", kind)
        sys.stdout.write(f"address {cluster.address}\n")
        sys.stdout.flush()
        for line in sys.stdin:
            action, name, *rest = line.split()
            if action == "kill":
                cluster.remove_node(nodes.pop(name), allow_graceful=False)
            else:
                add(name, rest[0])
            sys.stdout.write(f"done {name}\n")
            sys.stdout.flush()
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main(sys.argv[1:])
