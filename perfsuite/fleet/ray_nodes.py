"""Nodes as Ray lists them, and what Ray is told of an environment; does without Ray."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite.fleet.state import safe_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfsuite.fleet.plan import FleetEnvironment, Kind

SETUP_S = 1800
"""For installing packages: those of torch are some gigabytes, and Ray's own limit is ten minutes. A choice."""

ACCELERATOR = "accelerator_type:"
"""Before the type, in the name of a resource. Source: Ray, Accelerator Support."""

ACCELERATOR_LABEL = "ray.io/accelerator-type"
"""Source: Ray, Labels."""


def runtime_env_of(environment: FleetEnvironment) -> dict[str, Any]:
    """Return what Ray is told to install for an environment; nothing for an interpreter that is there."""
    config = {"config": {"setup_timeout_seconds": SETUP_S}}
    if environment.pip:
        return {"pip": {"packages": list(environment.pip), "pip_check": False}, **config}
    if environment.uv:
        return {"uv": {"packages": list(environment.uv)}, **config}
    return {}


def kind_of_node(node: Mapping[str, Any], kinds: Sequence[Kind]) -> str | None:
    """Return the first kind that a node of `ray.nodes()` matches, or None; without CPUs it runs nothing."""
    if not node["Resources"].get("CPU"):
        return None
    return next((kind.name for kind in kinds if _matches(node, kind)), None)


def _matches(node: Mapping[str, Any], kind: Kind) -> bool:
    resources, labels = node["Resources"], node.get("Labels") or {}
    if not (kind.accelerator_type or kind.resources or kind.labels):
        return False
    if kind.accelerator_type is not None:
        is_resource = f"{ACCELERATOR}{kind.accelerator_type}" in resources
        if not is_resource and labels.get(ACCELERATOR_LABEL) != kind.accelerator_type:
            return False
    has_resources = all(resources.get(name, 0.0) >= least for name, least in kind.resources.items())
    return has_resources and all(labels.get(name) == value for name, value in kind.labels.items())


def named(nodes: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return nodes of `ray.nodes()` by a name: its own, or its host's, with a part of its id where several share it.

    The name stays when Ray is started again; an id does not.
    """
    plain = [_plain_name(node) for node in nodes]
    return {
        name if plain.count(name) == 1 else f"{name}.{node['NodeID'][:6]}": node
        for name, node in zip(plain, nodes, strict=True)
    }


def _plain_name(node: Mapping[str, Any]) -> str:
    own = node.get("NodeName")
    is_address = not own or own == node.get("NodeManagerAddress")
    return safe_name(str(node.get("NodeManagerHostname") if is_address else own))
