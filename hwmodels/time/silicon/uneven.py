"""Decode batches whose sequences differ in length: what the longest add once the others are done.

Of the lengths, mean and longest are known. Some sequences are taken to be as long as the longest,
and the others `SHORTER` times shorter. CTAs start in order on the SMs that are free. While SMs are
busy memory is, too, and lengths make no difference; then only long ones run on, each at the pace
of a CTA alone (`Pace`). Counted over keys instead of seconds, a CTA's progress does not depend on
what it draws: the CTAs that run at each key give the time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tierlab.hwmodels.time.silicon.kernel import Floats
from tierlab.hwmodels.time.silicon.once import once
from tierlab.kernels.ops.table import COLUMNS, OpTable

SHORTER = 4.0
"""The longest over the others: as in LLMServingSim's `skew.csv`; an assumption (2026-11-21)."""
ANYWHERE = 0.5
"""Of a batch, what starts after its last long sequence: it may be anywhere; an assumption
(2026-11-21). In `skew.csv` long ones are first."""
_ROUNDS = 2
_KEYS, _SPREAD = COLUMNS.index("kv_len"), COLUMNS.index("kv_len_spread")


def even(ops: OpTable) -> OpTable:
    """Return the same batches with all sequences of the mean length."""
    return _even(ops, ops["kv_len"])


def of_longest(ops: OpTable) -> OpTable:
    """Return even batches of sequences that are all as long as the longest."""
    return _even(ops, longest(ops))


def _even(ops: OpTable, kv_len: Floats) -> OpTable:
    values = ops.values.copy()
    values[_KEYS], values[_SPREAD] = kv_len, 0.0
    return OpTable(ops.op, ops.dtype, ops.kv_dtype, values)


@once
def longest(ops: OpTable) -> Floats:
    """Return the keys of each batch's longest sequence, float64[n]."""
    keys: Floats = ops["kv_len"] * (1.0 + ops["kv_len_spread"])
    return keys


class Batch(NamedTuple):
    """What is launched, all float64[n].

    Attributes
    ----------
    sequences, mean, longest
        How many; keys that they reach.
    lanes, splits
        Tiles of a sequence; CTAs that share one of the longest.
    slots
        CTAs that run at once.
    rounds
        How often the batch is gone through: once, or once for each lane.
    """

    sequences: Floats
    mean: Floats
    longest: Floats
    lanes: Floats
    splits: Floats
    slots: Floats
    rounds: Floats


class Pace(NamedTuple):
    """Seconds for a key of a tile, both float64[n]: by a CTA alone, and by all SMs together."""

    alone_s: Floats
    full_s: Floats


def lengthened_s(batch: Batch, pace: Pace) -> Floats:
    """Return by how much a batch takes longer than an even one of as many keys, s, float64[n].

    What SMs wait at the end of an even batch is left out: the formula for those knows it.
    """
    alike = batch._replace(longest=batch.mean)
    found: Floats = np.maximum(_waited_s(batch, pace) - _waited_s(alike, pace), 0.0)
    return found


class _Split(NamedTuple):
    """Two kinds of sequences: how many are long, keys of a long CTA, and keys of a short one."""

    long: Floats
    own: Floats
    short: Floats
    tiles: Floats


def _two_kinds(b: Batch) -> _Split:
    short = np.minimum(b.longest / SHORTER, b.mean)
    long = np.clip(b.sequences * (b.mean - short) / (b.longest - short), 1.0, b.sequences)
    others = b.sequences - long
    left = np.maximum(b.sequences * b.mean - long * b.longest, 0.0)
    keys = np.where(others > 1e-6, left / np.maximum(others, 1e-6), b.longest)
    own = b.longest / b.splits
    tiles = b.lanes * (long * b.splits + others * np.maximum(keys / own, 1.0))
    return _Split(long, own, np.minimum(keys, own), tiles)


class _Running(NamedTuple):
    """The long CTAs that run on, by keys since the others were done.

    `first` of them together, for `until` keys; `later` ones end one after another, `width` keys
    long, the last after `ends`.
    """

    first: Floats
    until: Floats
    later: Floats
    ends: Floats
    width: Floats

    def keys(self) -> Floats:
        """Return the keys of all of them."""
        sloped = np.minimum(self.ends, self.width)
        flat = self.ends - sloped
        found: Floats = self.first * self.until + self.later * (
            flat + sloped * sloped / (2.0 * self.width)
        )
        return found

    def waited_s(self, pace: Pace) -> Floats:
        """Return what they take longer alone than all SMs would for the same keys, s."""
        both = np.maximum(pace.alone_s - self.first * pace.full_s, 0.0)
        falling = self.later * pace.full_s
        waited = self._above(both, falling, np.zeros_like(both), self.until)
        waited += both * np.maximum(self.until - self.ends, 0.0)
        waited += self._above(pace.alone_s, falling, self.until, self.ends)
        return waited

    def _above(self, top: Floats, falling: Floats, start: Floats, end: Floats) -> Floats:
        """Integrate max(top - falling x the share of the later ones that still run, 0)."""
        knee = self.ends - self.width
        flat = np.maximum(np.minimum(knee, end) - start, 0.0)
        from_share = np.minimum((self.ends - start) / self.width, 1.0)
        to_share = np.maximum(self.ends - end, 0.0) / self.width
        upper = np.minimum(from_share, top / np.maximum(falling, 1e-30))
        part = top - 0.5 * falling * (upper + to_share)
        sloped = self.width * np.maximum(upper - to_share, 0.0) * part
        area: Floats = np.maximum(top - falling, 0.0) * flat + sloped
        return area


def _waited_s(b: Batch, pace: Pace) -> Floats:
    """Return what SMs wait for long CTAs, s."""
    kinds = _two_kinds(b)
    work = b.sequences * b.mean * b.lanes
    busy = np.minimum(b.slots, kinds.tiles)
    done = np.maximum(work / busy, kinds.short)
    for _ in range(_ROUNDS):
        left = _running(b, kinds, work, busy, done).keys()
        done = 0.5 * (done + np.maximum((work - left) / busy, kinds.short))
    return _running(b, kinds, work, busy, done).waited_s(pace)


def _running(b: Batch, kinds: _Split, work: Floats, busy: Floats, done: Floats) -> _Running:
    """Return the long CTAs that run on once each SM has `done` so many keys.

    Those of the first wave started together, the others evenly until the last long one did.
    """
    count = kinds.long * b.lanes * b.splits
    first = count * np.minimum(b.slots / kinds.tiles, 1.0)
    others = 1.0 - kinds.long / b.sequences
    last = np.sqrt(others) * kinds.short + ANYWHERE * others * work / (b.rounds * busy)
    ends = np.maximum(kinds.own - np.minimum(last, done), 0.0)
    width = np.clip(done - kinds.short, 1e-3 * kinds.own, kinds.own)
    steady = np.minimum(busy * count * width / work, count)
    later = np.where(done < kinds.own, count - first, steady)
    return _Running(first, np.maximum(kinds.own - done, 0.0), later, ends, width)
