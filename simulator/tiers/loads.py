"""What a request finds in the tiers and loads from them, and what a hit brings up."""

from __future__ import annotations

from collections.abc import Sequence

from tierlab.kernels.base.errors import BrokenLaw
from tierlab.simulator.tiers import moves
from tierlab.simulator.tiers.copies import Copies
from tierlab.simulator.tiers.moves import Found, Leg, Load, Move, Prefetch, Segment
from tierlab.simulator.tiers.spec import HBM, Limits, PrefetchSpec
from tierlab.simulator.tiers.store import Ints
from tierlab.simulator.tiers.tier import Tier


class Loads(Copies):
    """Look-ups, loads and prefetches of one replica."""

    def __init__(
        self,
        tiers: Sequence[Tier],
        engine_tokens: int,
        limits: Limits | None = None,
        prefetch: PrefetchSpec | None = None,
    ) -> None:
        super().__init__(tiers, engine_tokens)
        self.limits, self.prefetch = limits or Limits(), prefetch or PrefetchSpec()
        self._prefetching = 0

    def requested(self, names: Ints, now_s: float) -> None:
        """Count a request for these blocks: their uses, and their recency where they are."""
        for at, tier in enumerate(self.tiers):
            ids = tier.ids(names)
            if tier.tracker is not None:
                tier.tracker.note(ids)
            if tier.spec.touch_all or at == 0:
                tier.store.touch(ids, now_s)

    def lookup(self, names: Ints, start: int, stop: int, now_s: float) -> Found:
        """Find the longest run of blocks from `start` on, each in the fastest tier that has it.

        Parameters
        ----------
        names
            int64, the prompt's engine blocks.
        start, stop
            Engine blocks that HBM has, and up to which a hit is of use.
        """
        self.expire(now_s)
        if self.limits.max_load_tokens is not None:
            stop = min(stop, start + self.limits.max_load_tokens // self.engine_tokens)
        found = Found(names, start, tuple(self._run(names, start, stop)))
        short = found.blocks * self.engine_tokens < self.limits.min_load_tokens
        return Found(names, start, ()) if short else found

    def _run(self, names: Ints, start: int, stop: int) -> list[Segment]:
        out: list[Segment] = []
        while start < stop and (part := self._part(names, start, stop)):
            out.append(part)
            start = part.stop
        return out

    def _part(self, names: Ints, start: int, stop: int) -> Segment | None:
        """Return the run from `start` on of the fastest tier that has its first block."""
        for at, tier in enumerate(self.tiers):
            end = tier.reach(names, start, stop)
            if end > start:
                for faster in self.tiers[:at]:
                    end = faster.next_ready(names, start, end)
                return Segment(at, start, end)
        return None

    def arriving(self, found: Found, stop: int) -> int:
        """Return the engine blocks behind a hit that are on their way into some tier."""
        start = found.start + found.blocks
        reach = start
        for tier in self.tiers:
            ids = tier.ids(found.names, start // tier.blocks)
            come = tier.store.held(ids) & ~tier.store.ready(ids)
            run = len(ids) if come.all() else int(come.argmin())
            reach = max(reach, (start // tier.blocks + run) * tier.blocks if run else start)
        return min(reach, stop) - start

    def begin_load(self, found: Found, blocks: int, now_s: float) -> Load:
        """Pin the first `blocks` engine blocks that were found until the load ends."""
        stop, legs = found.start + blocks, []
        for segment in found.segments:
            if segment.start < stop:
                legs.append(self._leg(found.names, segment, min(segment.stop, stop)))
        pinned = []
        for leg in legs:
            tier = self.tiers[leg.index]
            if not tier.store.ready(leg.ids).all():
                raise BrokenLaw(f"a load of blocks that are no longer in {leg.tier}")
            pinned.append(tier.store.pin(leg.ids))
            if not tier.spec.touch_all and leg.index > 0:
                tier.store.touch(leg.ids, now_s)
        return Load(found.names[:stop].copy(), tuple(legs), tuple(pinned))

    def _leg(self, names: Ints, segment: Segment, stop: int) -> Leg:
        tier = self.tiers[segment.tier]
        spec, blocks = tier.spec, stop - segment.start
        staged = spec.staged and segment.tier > 0
        tokens = blocks * self.engine_tokens
        return Leg(
            tier=spec.name,
            path=(spec.name, self.tiers[0].spec.name, HBM) if staged else (spec.name, HBM),
            start=segment.start,
            stop=stop,
            tokens=tokens,
            nbytes=tokens * spec.token_bytes / spec.compression,
            pieces=blocks * spec.pieces_per_engine_block,
            mechanism=spec.mechanism,
            index=segment.tier,
            ids=tier.ids(names, segment.start // tier.blocks, -(-stop // tier.blocks)).copy(),
        )

    def end_load(self, load: Load, now_s: float) -> list[Move]:
        """Unpin what was loaded; return the copies that follow from the hit."""
        self._unpin(load)
        out: list[Move] = []
        for leg in load.legs:
            counts = self.tiers[leg.index].counts
            counts.hit_tokens += leg.tokens
            counts.hit_bytes += leg.nbytes
            counts.loads += 1
            out += self._promote(load.names, leg, now_s)
            self.leave_for_hbm(load.names, leg.start, leg.stop)
        return out

    def cancel_load(self, load: Load) -> None:
        """Unpin what a load that was given up had pinned."""
        self._unpin(load)

    def _unpin(self, load: Load) -> None:
        if load.over:
            raise BrokenLaw("a load ended twice")
        load.over = True
        for leg, pinned in zip(load.legs, load.pinned, strict=True):
            self.tiers[leg.index].store.unpin(pinned)

    def _promote(self, names: Ints, leg: Leg, now_s: float) -> list[Move]:
        """Bring what a lower tier served into the fastest; at once where it passed through it."""
        tier = self.tiers[leg.index]
        if leg.index == 0 or not tier.spec.promote or not self.tiers[0].spec.inclusive:
            return []
        made = self._raise(names, leg, now_s, moves.PROMOTION)
        if not tier.spec.staged:
            return made
        out: list[Move] = []
        for move in made:
            own = move.cause == moves.PROMOTION
            out += self.end_move(move, now_s) if own else [move]
        return out

    def _raise(self, names: Ints, leg: Leg, now_s: float, cause: str) -> list[Move]:
        """Offer whole blocks of a leg to the fastest tier; pin them where they come from."""
        tier, top = self.tiers[leg.index], self.tiers[0]
        used = tier.used_enough(leg.ids, tier.spec.promote_after_uses)
        stop = leg.stop if used.all() else (leg.start // tier.blocks + used.argmin()) * tier.blocks
        blocks = top.chain(names, -(-leg.start // top.blocks), int(stop) // top.blocks)
        if not len(blocks.ids):
            return []
        pinned = tier.store.pin(leg.ids)
        made = self.offer(0, blocks, now_s, cause, leg.index)
        own = [move for move in made if move.cause == cause and move.origin == leg.index]
        if own:
            own[0].pinned = pinned
        else:
            tier.store.unpin(pinned)
        return made

    def plan_prefetch(self, names: Ints, start: int, stop: int, now_s: float) -> Prefetch | None:
        """Begin to copy a queued request's blocks from lower tiers to the fastest, if it pays."""
        if self.prefetch.policy == "none":
            return None
        found = self.lookup(names, start, stop, now_s)
        lower = [self._leg(names, s, s.stop) for s in found.segments if s.tier > 0]
        tokens = sum(leg.tokens for leg in lower)
        if not self.prefetch.threshold_tokens <= tokens <= self._prefetch_room():
            return None
        made = [move for leg in lower for move in self._batches(names, leg, now_s)]
        own = [move for move in made if move.cause == moves.PREFETCH]
        tokens = sum(move.tokens for move in own)
        self._prefetching += tokens
        return Prefetch(made, tokens, self.prefetch.wait_s(tokens))

    def _prefetch_room(self) -> float:
        return self.prefetch.most_tokens - self._prefetching

    def _batches(self, names: Ints, leg: Leg, now_s: float) -> list[Move]:
        tier, step = self.tiers[leg.index], self.prefetch.batch_blocks * self.tiers[0].blocks
        step = -(-step // tier.blocks) * tier.blocks
        out: list[Move] = []
        for start in range(leg.start, leg.stop, step):
            part = Segment(leg.index, start, min(start + step, leg.stop))
            out += self._raise(names, self._leg(names, part, part.stop), now_s, moves.PREFETCH)
        return out

    def stop_prefetch(self, prefetch: Prefetch) -> list[Move]:
        """Give up the copies that have not ended; return them, for the engine to stop."""
        left = [m for m in prefetch.moves if m.cause == moves.PREFETCH and not m.over]
        for move in left:
            self.cancel_move(move)
        return left

    def _close(self, move: Move) -> None:
        super()._close(move)
        if move.cause == moves.PREFETCH:
            self._prefetching -= move.tokens

    def expire(self, now_s: float) -> None:
        """Let go of what has outlived its time."""
        for tier in self.tiers:
            tier.counts.expired += tier.store.expire(now_s)
