"""The smallest size of each tier that reaches a hit ratio."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tierlab.simulator.sizing.dollars import tiers_usd_per_h, usd_per_h
from tierlab.simulator.sizing.reach import Progress, Reach, replica_reach, shared_reach
from tierlab.simulator.sizing.setting import Setting
from tierlab.traces.schema import Trace

GIB, GB = 2.0**30, 1e9


def written(nbytes: float) -> dict[str, float]:
    """Return a size in bytes, GiB and GB."""
    return {"bytes": nbytes, "gib": nbytes / GIB, "gb": nbytes / GB}


class Reaches:
    """Hit ratios of HBM alone and of each tier of one trace; distances are measured once."""

    def __init__(self, setting: Setting, trace: Trace, progress: Progress | None = None) -> None:
        self._setting, self._trace, self._progress = setting, trace, progress
        self._made: dict[bool, Reach] = {}

    def of(self, shared: bool) -> Reach:
        """Return the reach of one cache for all replicas, or of one each."""
        shared = shared or self._setting.scenario.engine.replicas == 1
        if shared not in self._made:
            self._made[shared] = self._measure(shared)
        return self._made[shared]

    def _measure(self, shared: bool) -> Reach:
        setting = self._setting
        if shared:
            return shared_reach(self._trace, setting.token_bytes, self._progress)
        return replica_reach(self._trace, setting.scenario.engine, setting.token_bytes)

    def tier(self, name: str) -> Reach:
        """Return the reach of a tier."""
        return self.of(self._setting.spec(name).shared)


def hbm_row(setting: Setting, reaches: Reaches) -> dict[str, Any]:
    """Return what the KV pool in HBM holds and hits, one replica's bytes."""
    reach = reaches.of(False)
    return {
        "tier": "hbm",
        **written(setting.hbm_bytes),
        "blocks": int(setting.hbm_bytes / reach.block_bytes),
        "hit_ratio": reach.hit_ratio(setting.hbm_bytes),
    }


def size_rows(
    setting: Setting, reaches: Reaches, tiers: Sequence[str], ratio: float
) -> list[dict[str, Any]]:
    """Return for each tier the smallest size that alone below HBM reaches a hit ratio.

    Raises
    ------
    BadInput
        No size reaches it.
    """
    return [_row(setting, reaches.tier(name), name, ratio) for name in tiers]


def _row(setting: Setting, reach: Reach, name: str, ratio: float) -> dict[str, Any]:
    blocks, hbm = reach.blocks_for(ratio), setting.hbm_bytes
    shared, room = (
        setting.instances(name) < setting.scenario.engine.replicas,
        setting.room_bytes(name),
    )
    enough = not shared and blocks * reach.block_bytes <= hbm
    size = 0.0 if enough else blocks * reach.block_bytes
    sizes = {name: size}
    return {
        "tier": name,
        **written(size),
        "blocks": 0 if enough else blocks,
        "needed": not enough,
        "hit_ratio": reach.hit_ratio(hbm if enough else size),
        "exclusive_bytes": 0.0 if enough or shared else size - hbm,
        "mirrors_up_to_bytes": 0.0 if shared else hbm,
        "room_bytes": room,
        "fits": size <= room,
        "tier_usd_per_h": tiers_usd_per_h(setting, sizes),
        "usd_per_h": usd_per_h(setting, sizes),
    }
