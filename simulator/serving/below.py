"""KV that a design places below HBM: the room of each replica, and what its copies cost."""

from __future__ import annotations

import numpy as np

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.models.kv import kv_groups
from tierlab.policies.protocol import Moves
from tierlab.simulator.scenario.schema import EngineSection
from tierlab.simulator.serving.build import Parts
from tierlab.simulator.serving.engine import state
from tierlab.simulator.serving.engine.state import Core
from tierlab.simulator.serving.far import copy_cost, room_bytes
from tierlab.simulator.serving.kept import KIB

_ONE = np.ones(1, np.int64)


def place_below(core: Core, parts: Parts, engine: EngineSection) -> None:
    """Give a replica its part of the tier that the design places KV in; nothing where it does not.

    Replicas divide the tier's room, and each GPU copies at the rate that is left to it while all
    others copy too.

    Raises
    ------
    BadInput
        The system has no such tier, or nothing connects it to the GPUs.
    """
    placement = parts.design.placement
    if not isinstance(placement, Moves):
        return
    tier, ranks = tier_below(parts), engine.tensor_parallel_size
    layers = sum(group.layers for group in kv_groups(parts.model, ranks))
    cost = copy_cost(parts.system, tier, layers, engine.replicas * ranks)
    reg, real = core.reg, core.real
    reg[state.FAR_SIZE] = int(room_bytes(parts.system, tier) // engine.replicas // KIB)
    reg[state.FAR_FREE] = reg[state.FAR_SIZE]
    real[state.MOVES_LATENCY_S], real[state.MOVES_ISSUE_S] = cost.latency_s, cost.issue_s
    real[state.MOVES_S_PER_BYTE] = cost.s_per_byte
    real[state.MOVES_ADD] = not getattr(placement, "overlaps", True)


def tier_below(parts: Parts) -> str:
    """Return the tier below HBM that the design places KV in.

    Raises
    ------
    BadInput
        There is more than one.
    """
    stored = parts.design.footprint(kv_groups(parts.model, 1), _ONE).stored_bytes
    tiers = [tier for tier in stored if tier != "hbm"]
    if len(tiers) != 1:
        name = parts.design.placement.name
        raise BadInput("design.placement", f"{name!r} uses {tiers}", "one tier below HBM")
    return tiers[0]
