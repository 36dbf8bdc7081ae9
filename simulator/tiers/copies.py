"""Copies between tiers: what is offered to a tier, what that evicts, and what follows a copy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.base.errors import BrokenLaw
from tierlab.policies.cache.state import SlotArray
from tierlab.simulator.tiers import moves
from tierlab.simulator.tiers.moves import Move
from tierlab.simulator.tiers.spec import HBM
from tierlab.simulator.tiers.store import Blocks, Ints
from tierlab.simulator.tiers.tier import Tier

FROM_HBM = -1
_COUNTED = {
    moves.PROMOTION: "promoted",
    moves.PREFETCH: "prefetched",
    moves.DEMOTION: "demoted",
}


class Copies:
    """The tiers of one replica, fastest first, and the copies between them."""

    def __init__(self, tiers: Sequence[Tier], engine_tokens: int) -> None:
        self.tiers, self.engine_tokens = tuple(tiers), engine_tokens

    def offer(
        self, target: int, blocks: Blocks, now_s: float, cause: str, origin: int
    ) -> list[Move]:
        """Have a tier take those of the blocks that it lacks.

        Returns
        -------
        moves
            The copy to it, if any block enters, after the copies of what it evicts for them.
        """
        tier = self.tiers[target]
        wanted = self._wanted(target, blocks, cause)
        if not len(wanted.ids):
            return []
        come = tier.store.admit(wanted, now_s)
        tier.counts.refused += len(wanted.ids) - come.number
        out = self._evicted(target, come.gone, now_s)
        if come.number:
            ids = wanted.ids if come.number == len(wanted.ids) else wanted.ids[come.coming]
            out.append(self._move(target, ids, come.slots, cause, origin))
        if over := tier.over_watermark():
            out += self._evicted(target, tier.store.shed(over), now_s)
        return out

    def _wanted(self, target: int, blocks: Blocks, cause: str) -> Blocks:
        """Return the blocks that the tier lacks and may hold."""
        tier = self.tiers[target]
        number, held = tier.store.count_held(blocks.ids)
        if not number and tier.takes_all and cause != moves.DEMOTION:
            return blocks
        lacks = ~held
        if not tier.spec.inclusive:
            for faster in self.tiers[:target]:
                lacks &= ~faster.store.held(blocks.ids)
        if tier.spec.store_after_uses > 1 and cause not in (moves.PROMOTION, moves.PREFETCH):
            used = tier.used_enough(blocks.ids, tier.spec.store_after_uses)
            tier.counts.filtered += int((lacks & ~used).sum())
            lacks &= used
        if cause == moves.DEMOTION:
            lacks &= self._staged_below(tier, lacks)
        return blocks.where(lacks)

    @staticmethod
    def _staged_below(tier: Tier, lacks: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the leading wanted blocks that find room in the staging buffer."""
        room = max(tier.spec.staging_blocks - tier.staged, 0)
        fits: NDArray[np.bool_] = np.cumsum(lacks) <= room
        tier.counts.refused += int((lacks & ~fits).sum())
        return fits

    def _move(self, target: int, ids: Ints, slots: SlotArray, cause: str, origin: int) -> Move:
        tier = self.tiers[target]
        down = origin < target
        lower = tier if down else self.tiers[origin]
        tokens = len(ids) * tier.spec.block_tokens
        pieces = -(-tokens // lower.spec.block_tokens)
        if origin == FROM_HBM:
            pieces *= tier.blocks * tier.spec.pieces_per_engine_block
        tier.staged += len(ids) if cause == moves.DEMOTION else 0
        return Move(
            source=HBM if origin == FROM_HBM else self.tiers[origin].spec.name,
            destination=tier.spec.name,
            cause=cause,
            ids=ids,
            tokens=tokens,
            nbytes=tokens * tier.spec.token_bytes / lower.spec.compression,
            pieces=pieces,
            mechanism=lower.spec.mechanism,
            origin=origin,
            target=target,
            slots=slots,
        )

    def _evicted(self, source: int, slots: SlotArray, now_s: float) -> list[Move]:
        """Pass what a tier evicted to the one below, if that is written back."""
        count = len(slots)
        if not count:
            return []
        tier, below = self.tiers[source], source + 1
        tier.counts.evicted += count
        if below == len(self.tiers) or self.tiers[below].spec.write != "back":
            return []
        ratio = self.tiers[below].blocks // tier.blocks
        groups = tier.store.groups(tier.store.describe(slots), ratio)
        latest_first = Blocks(*(column[::-1] for column in groups))
        out = self.offer(below, latest_first, now_s, moves.DEMOTION, source)
        gone = ~self.tiers[below].store.held(groups.ids)
        tier.counts.lost += int(gone.sum()) * ratio
        return out

    def end_move(self, move: Move, now_s: float) -> list[Move]:
        """Let the copied blocks be hit; return the copies that follow."""
        self._close(move)
        tier = self.tiers[move.target]
        tier.store.arrive(move.slots)
        counts = tier.counts
        counts.stored += len(move.ids)
        counts.stored_bytes += len(move.ids) * tier.spec.block_bytes
        if counted := _COUNTED.get(move.cause):
            setattr(counts, counted, getattr(counts, counted) + len(move.ids))
        self.leave_lower(move.target, move.ids)
        out: list[Move] = []
        if self._written_through(move.target + 1):
            out = self._through(move.target, tier.store.describe(move.slots), now_s)
        tier.store.unpin(move.slots)
        return out

    def cancel_move(self, move: Move) -> None:
        """Give up a copy: its blocks do not come, and their space is free again."""
        self._close(move)
        tier = self.tiers[move.target]
        tier.store.give_up(move.slots)
        tier.counts.cancelled += len(move.ids)

    def _close(self, move: Move) -> None:
        if move.over:
            raise BrokenLaw(f"a copy from {move.source} to {move.destination} ended twice")
        move.over = True
        if move.cause == moves.DEMOTION:
            self.tiers[move.target].staged -= len(move.ids)
        if move.pinned is not None:
            self.tiers[move.origin].store.unpin(move.pinned)

    def _through(self, source: int, blocks: Blocks, now_s: float) -> list[Move]:
        """Copy blocks that a tier has on to the next, if that is written through."""
        below = source + 1
        if not self._written_through(below):
            return []
        store = self.tiers[source].store
        ratio = self.tiers[below].blocks // self.tiers[source].blocks
        made = self.offer(below, store.groups(blocks, ratio), now_s, moves.THROUGH, source)
        for move in made:
            if move.origin == source and move.cause == moves.THROUGH:
                move.pinned = store.pin(move.ids)
        return made

    def _written_through(self, target: int) -> bool:
        return target < len(self.tiers) and self.tiers[target].spec.write == "through"

    def leave_lower(self, target: int, ids: Ints) -> None:
        """Take blocks that a tier now has out of the exclusive tiers below it."""
        for tier in self.tiers[target + 1 :]:
            if not tier.spec.inclusive:
                tier.counts.moved_up += len(tier.store.remove(ids))

    def leave_for_hbm(self, names: Ints, start: int, stop: int) -> None:
        """Take engine blocks that HBM now has out of the exclusive tiers."""
        for tier in self.tiers:
            if not tier.spec.inclusive:
                ids = tier.ids(names, start // tier.blocks, stop // tier.blocks)
                tier.counts.moved_up += len(tier.store.remove(ids))
