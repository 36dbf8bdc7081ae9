"""The tiers below one replica's HBM: look-ups, loads, what is stored, prefetches.

Names are those of the engine's blocks: equal names are equal blocks after equal prefixes. A tier
with blocks k times as large names one by the last engine block in it; partial ones are not stored.
Arrays of names are read while a call lasts and not kept, but for those of a `Found`.
Nothing here takes time: the engine says what happens and when, and gives every `Move` and `Load`
the time that its bytes need.

Examples
--------
>>> import numpy as np
>>> from tierlab.simulator.tiers.hierarchy import Hierarchy
>>> from tierlab.simulator.tiers.spec import TierSpec
>>> from tierlab.simulator.tiers.tier import Tier
>>> dram = Tier(TierSpec("dram", 10 * 16 * 1024.0, 16, token_bytes=1024.0), 16)
>>> tiers, prompt = Hierarchy((dram,), 16), np.array([11, 12, 13])
>>> tiers.requested(prompt, 0.0)
>>> tiers.lookup(prompt, 0, 3, 0.0).blocks
0
>>> (store,) = tiers.computed(prompt, 0, 3, 0.1)
>>> store.source, store.destination, store.tokens, store.nbytes
('hbm', 'dram', 48, 49152.0)
>>> tiers.end_move(store, 0.2)
[]
>>> found = tiers.lookup(prompt, 1, 3, 5.0)
>>> load = tiers.begin_load(found, found.blocks, 5.0)
>>> load.tokens, load.legs[0].path
(32, ('dram', 'hbm'))
>>> tiers.end_load(load, 5.1)
[]
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tierlab.simulator.tiers import moves
from tierlab.simulator.tiers.copies import FROM_HBM
from tierlab.simulator.tiers.loads import Loads
from tierlab.simulator.tiers.moves import Move
from tierlab.simulator.tiers.spec import Limits, PrefetchSpec
from tierlab.simulator.tiers.store import Blocks, Ints
from tierlab.simulator.tiers.tier import Tier


class Hierarchy(Loads):
    """What one replica sees of its tiers, fastest first; some may be shared with others."""

    def __init__(
        self,
        tiers: Sequence[Tier],
        engine_tokens: int,
        limits: Limits | None = None,
        prefetch: PrefetchSpec | None = None,
    ) -> None:
        super().__init__(tiers, engine_tokens, limits, prefetch)
        self._hbm: dict[int, tuple[int, int]] = {}

    def computed(
        self, names: Ints, start: int, stop: int, now_s: float, prompt: bool = True
    ) -> list[Move]:
        """Say that HBM now has engine blocks of a prompt; return the copies that follow.

        Parameters
        ----------
        names
            int64, the request's engine blocks, at least `stop` of them.
        start, stop
            The blocks not yet told of, so that a request's first call begins at 0, with those
            that were hit.
        prompt
            Whether they are of the prompt, not of the reply.
        """
        if not self.tiers or (self.limits.prompt_only and not prompt):
            return []
        if self.limits.max_store_tokens is not None:
            stop = min(stop, self.limits.max_store_tokens // self.engine_tokens)
        self.leave_for_hbm(names, start, stop)
        out: list[Move] = []
        for at, tier in enumerate(self.tiers):
            first, last = start // tier.blocks, stop // tier.blocks
            if first < last:
                out += self._computed(at, names, first, last, now_s)
        return out

    def _computed(self, at: int, names: Ints, first: int, last: int, now_s: float) -> list[Move]:
        tier = self.tiers[at]
        if at == 0 and tier.spec.write == "through":
            return self.offer(0, tier.chain(names, first, last), now_s, moves.STORE, FROM_HBM)
        if at == 0 and tier.spec.write == "back":
            ids, parents, depth = (column.tolist() for column in tier.chain(names, first, last))
            self._hbm.update(zip(ids, zip(parents, depth, strict=True), strict=True))
        elif at and tier.tracker is not None:
            return self._again(at, names, first, last, now_s)
        return []

    def _again(self, at: int, names: Ints, first: int, last: int, now_s: float) -> list[Move]:
        """Offer a tier what it did not want after fewer uses and the one above still has."""
        above = self.tiers[at - 1]
        ratio = self.tiers[at].blocks // above.blocks
        blocks = above.chain(names, first * ratio, last * ratio)
        return self._through(at - 1, blocks.where(above.store.ready(blocks.ids)), now_s)

    def evicted_from_hbm(self, names: Ints, now_s: float) -> list[Move]:
        """Say that HBM gave up blocks, the first first; return the copies of them to make."""
        if not self._hbm:
            return []
        known = [(n, *self._hbm.pop(n)) for n in names.tolist() if n in self._hbm]
        if not known:
            return []
        columns = np.array(known[::-1], np.int64).reshape(-1, 3).T
        return self.offer(0, Blocks(*columns), now_s, moves.WRITE_BACK, FROM_HBM)

    def occupancy(self) -> dict[str, dict[str, float]]:
        """Return what each tier holds now, by name."""
        return {tier.spec.name: tier.occupancy() for tier in self.tiers}

    def counts(self) -> dict[str, dict[str, float]]:
        """Return what happened in each tier so far, by name."""
        return {tier.spec.name: tier.counts.row() for tier in self.tiers}

    def duplicates(self) -> dict[str, int]:
        """Return for each tier but the fastest how many of its blocks a faster one holds too."""
        out = {}
        for at, tier in enumerate(self.tiers[1:], 1):
            ids = tier.store.names()
            twice = np.zeros(len(ids), np.bool_)
            for faster in self.tiers[:at]:
                twice |= faster.store.held(ids)
            out[tier.spec.name] = int(twice.sum())
        return out
