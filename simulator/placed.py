"""What a placement below HBM takes in a plan: room in its tier, and copies in each decode step."""

from __future__ import annotations

import numpy as np

from tierlab.kernels.models.kv import kv_groups
from tierlab.policies.composing import Footprint
from tierlab.policies.protocol import Moves, overlaps
from tierlab.simulator.serving.build import Parts
from tierlab.simulator.serving.far import copy_cost, room_bytes


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
            most = min(most, int(room_bytes(parts.system, tier) // (tp * nbytes[0])))
    return most


def moved_s(parts: Parts, tp: int, context: int, batch: int) -> float:
    """Return how long the copies of one decode step take, alone on their way.

    Each layer's KV of the whole batch is one copy of keys and values; layers follow each other.

    Raises
    ------
    BadInput
        The system has no such tier, or nothing connects it to the GPU.
    """
    if not isinstance(parts.design.placement, Moves):
        return 0.0
    layers = sum(group.layers for group in kv_groups(parts.model, tp))
    moved = footprint_of(parts, tp, context).moved_bytes
    return sum(
        copy_cost(parts.system, tier, layers, 1).seconds(batch * float(nbytes[0]))
        for tier, nbytes in moved.items()
        if nbytes[0] > 0
    )


def with_moves_s(parts: Parts, device_s: float, copies_s: float) -> float:
    """Return how long the device takes: the longer of both where layers overlap, else the sum."""
    if overlaps(parts.design.placement):
        return max(device_s, copies_s)
    return device_s + copies_s
