"""KV that a design places below HBM: the room of each replica, and what its copies cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.models.kv import kv_groups
from tierlab.policies.protocol import Moves, overlaps
from tierlab.simulator.scenario.schema import EngineSection
from tierlab.simulator.serving.build import Parts
from tierlab.simulator.serving.engine import state
from tierlab.simulator.serving.engine.state import Core
from tierlab.simulator.serving.far import CopyCost, copy_cost, room_bytes
from tierlab.simulator.serving.kept import KIB

_ONE = np.ones(1, np.int64)


@dataclass(frozen=True)
class Below:
    """Each replica's part of the tier that a design places KV in.

    Attributes
    ----------
    size_kib
        Room; replicas divide the tier's.
    cost
        Of a step's copies, at the rate that is left to a GPU while all others copy too.
    overlaps
        Whether they run under the step, or add to it.
    """

    size_kib: int
    cost: CopyCost
    overlaps: bool

    def give(self, core: Core) -> None:
        """Give a replica its part."""
        reg, real = core.reg, core.real
        reg[state.FAR_SIZE] = reg[state.FAR_FREE] = self.size_kib
        real[state.MOVES_LATENCY_S] = self.cost.latency_s
        real[state.MOVES_ISSUE_S] = self.cost.issue_s
        real[state.MOVES_S_PER_BYTE] = self.cost.s_per_byte
        real[state.MOVES_ADD] = not self.overlaps


def find_below(parts: Parts, engine: EngineSection) -> Below | None:
    """Return what each replica gets; None where the design places nothing below HBM.

    Raises
    ------
    BadInput
        The system has no such tier, or nothing connects it to the GPUs.
    """
    placement = parts.design.placement
    if not isinstance(placement, Moves):
        return None
    tier, ranks = tier_below(parts), engine.tensor_parallel_size
    layers = sum(group.layers for group in kv_groups(parts.model, ranks))
    cost = copy_cost(parts.system, tier, layers, engine.replicas * ranks)
    size_kib = int(room_bytes(parts.system, tier) // engine.replicas // KIB)
    return Below(size_kib, cost, overlaps(placement))


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
