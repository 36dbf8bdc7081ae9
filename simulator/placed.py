"""What a placement below HBM takes in a plan: room in its tier, and copies in each decode step."""

from __future__ import annotations

from typing import Any

import numpy as np

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.models.kv import kv_groups
from tierlab.policies.composing import Footprint
from tierlab.policies.protocol import Moves
from tierlab.simulator.serving.build import Parts

MECHANISM = "batched"
PIECES_PER_LAYER = 2
"""Keys and values."""


def footprint_of(parts: Parts, tp: int, context: int) -> Footprint:
    """Return the footprint of one sequence whose context is all prompt, on one rank."""
    return parts.design.footprint(kv_groups(parts.model, tp), np.array([context]))


def most_in_tiers(parts: Parts, tp: int, context: int, most: int) -> int:
    """Return how many of `most` requests the tiers below HBM have room for, all of each tier.

    Raises
    ------
    BadInput
        The system has no such tier.
    """
    if not isinstance(parts.design.placement, Moves):
        return most
    stored = footprint_of(parts, tp, context).stored_bytes
    for tier, nbytes in stored.items():
        if tier != "hbm" and nbytes[0] > 0:
            most = min(most, int(_room_bytes(parts, tier) // (tp * nbytes[0])))
    return most


def _room_bytes(parts: Parts, tier: str) -> float:
    return sum(
        float(getattr(node, "memory_bytes", 0.0) or getattr(node, "capacity_bytes", 0.0))
        for node in _nodes(parts, tier).values()
    )


def _nodes(parts: Parts, tier: str) -> dict[str, Any]:
    system = parts.system
    kinds: dict[str, Any] = {"dram": system.hosts(), "cxl": system.cxl(), "ssd": system.ssds()}
    nodes: dict[str, Any] = kinds[tier]
    if not nodes:
        raise BadInput(
            "design.placement",
            f"{parts.system.name} has no {tier}",
            "another placement, or hardware that has it (`tierlab list hardware`)",
        )
    return nodes


def moved_s(parts: Parts, tp: int, context: int, batch: int) -> float:
    """Return how long the copies of one decode step take, alone on their way.

    Each layer's KV of the whole batch is one copy of keys and values from the first node of the
    tier; layers follow each other.

    Raises
    ------
    BadInput
        The system has no such tier, or nothing connects it to the GPU.
    """
    if not isinstance(parts.design.placement, Moves):
        return 0.0
    moved = footprint_of(parts, tp, context).moved_bytes
    if not any(nbytes[0] > 0 for nbytes in moved.values()):
        return 0.0
    import simpy

    from tierlab.simulator.network.network import Network

    network = Network(simpy.Environment(), parts.system, keep_records=False)
    gpu, layers = next(iter(parts.system.gpus())), _layers(parts, tp)
    seconds = 0.0
    for tier, nbytes in moved.items():
        route = network.route(next(iter(_nodes(parts, tier))), gpu, MECHANISM)
        cost = route.cost(batch * float(nbytes[0]) / layers, PIECES_PER_LAYER)
        seconds += layers * cost.alone_s
    return seconds


def _layers(parts: Parts, tp: int) -> int:
    return sum(group.layers for group in kv_groups(parts.model, tp))


def with_moves_s(parts: Parts, device_s: float, copies_s: float) -> float:
    """Return how long the device takes: the longer of both where layers overlap, else the sum."""
    if getattr(parts.design.placement, "overlaps", True):
        return max(device_s, copies_s)
    return device_s + copies_s
