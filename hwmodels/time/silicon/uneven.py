"""Decode batches whose sequences differ in length: what the longest add once the others are done.

Of the lengths, mean and longest are known. Some sequences are taken to be as long as the longest,
and the others `SHORTER` times shorter. CTAs start in order on the SMs that are free. While SMs are
busy memory is, too, and lengths make no difference; then only long ones run on, each at the pace
of a CTA alone (`Pace`). Counted over keys instead of seconds, a CTA's progress does not depend on
what it draws: the CTAs that run at each key give the time. Row by row, compiled.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tierlab.hwmodels.time.silicon.kernel import Floats
from tierlab.hwmodels.time.silicon.once import once
from tierlab.kernels.base.binding import Compiled, entered, plain
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
    """What is launched, all float64[n], or one of them.

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

    sequences: Any
    mean: Any
    longest: Any
    lanes: Any
    splits: Any
    slots: Any
    rounds: Any


class Pace(NamedTuple):
    """Seconds for a key of a tile, as `Batch`: by a CTA alone, and by all SMs together."""

    alone_s: Any
    full_s: Any


def lengthened_s(batch: Batch, pace: Pace) -> Floats:
    """Return by how much a batch takes longer than an even one of as many keys, s, float64[n].

    What SMs wait at the end of an even batch is left out: the formula for those knows it.
    """
    columns = np.broadcast_arrays(*batch, *pace)
    found = np.empty(len(columns[0]))
    each: Compiled = _each if plain(len(found)) else entered(_each, error_model="numpy")
    each(*map(np.ascontiguousarray, columns), found)
    return found


def _each(
    sequences: Floats,
    mean: Floats,
    longest: Floats,
    lanes: Floats,
    splits: Floats,
    slots: Floats,
    rounds: Floats,
    alone_s: Floats,
    full_s: Floats,
    found: Floats,
) -> None:
    for i in range(len(found)):
        n, even, most, wide = sequences[i], mean[i], longest[i], lanes[i]
        cut, room, passes = splits[i], slots[i], rounds[i]
        pace = Pace(alone_s[i], full_s[i])
        waited = _waited_s(Batch(n, even, most, wide, cut, room, passes), pace)
        alike = _waited_s(Batch(n, even, even, wide, cut, room, passes), pace)
        found[i] = max(waited - alike, 0.0)


class _Split(NamedTuple):
    """Two kinds of sequences: how many are long, keys of a long CTA, and keys of a short one."""

    long: float
    own: float
    short: float
    tiles: float


def _two_kinds(b: Batch) -> _Split:
    short = min(b.longest / SHORTER, b.mean)
    long = min(max(b.sequences * (b.mean - short) / (b.longest - short), 1.0), b.sequences)
    others = b.sequences - long
    left = max(b.sequences * b.mean - long * b.longest, 0.0)
    keys = left / others if others > 1e-6 else b.longest
    own = b.longest / b.splits
    tiles = b.lanes * (long * b.splits + others * max(keys / own, 1.0))
    return _Split(long, own, min(keys, own), tiles)


class _Running(NamedTuple):
    """The long CTAs that run on, by keys since the others were done.

    `first` of them together, for `until` keys; `later` ones end one after another, `width` keys
    long, the last after `ends`.
    """

    first: float
    until: float
    later: float
    ends: float
    width: float


def _keys(r: _Running) -> float:
    """Return the keys of all of them."""
    sloped = min(r.ends, r.width)
    flat = r.ends - sloped
    keys: float = r.first * r.until + r.later * (flat + sloped * sloped / (2.0 * r.width))
    return keys


def _alone_s(r: _Running, pace: Pace) -> float:
    """Return what they take longer alone than all SMs would for the same keys, s."""
    both = max(pace.alone_s - r.first * pace.full_s, 0.0)
    falling = r.later * pace.full_s
    waited: float = _above(r, both, falling, 0.0, r.until)
    waited += both * max(r.until - r.ends, 0.0)
    waited += _above(r, pace.alone_s, falling, r.until, r.ends)
    return waited


def _above(r: _Running, top: float, falling: float, start: float, end: float) -> float:
    """Integrate max(top - falling x the share of the later ones that still run, 0)."""
    knee = r.ends - r.width
    flat = max(min(knee, end) - start, 0.0)
    from_share = min((r.ends - start) / r.width, 1.0)
    to_share = max(r.ends - end, 0.0) / r.width
    upper = min(from_share, top / max(falling, 1e-30))
    part = top - 0.5 * falling * (upper + to_share)
    sloped = r.width * max(upper - to_share, 0.0) * part
    area: float = max(top - falling, 0.0) * flat + sloped
    return area


def _waited_s(b: Batch, pace: Pace) -> float:
    """Return what SMs wait for long CTAs, s."""
    kinds = _two_kinds(b)
    work = b.sequences * b.mean * b.lanes
    busy = min(b.slots, kinds.tiles)
    done = max(work / busy, kinds.short)
    for _ in range(_ROUNDS):
        left = _keys(_running(b, kinds, work, busy, done))
        done = 0.5 * (done + max((work - left) / busy, kinds.short))
    return _alone_s(_running(b, kinds, work, busy, done), pace)


def _running(b: Batch, kinds: _Split, work: float, busy: float, done: float) -> _Running:
    """Return the long CTAs that run on once each SM has `done` so many keys.

    Those of the first wave started together, the others evenly until the last long one did.
    """
    count = kinds.long * b.lanes * b.splits
    first = count * min(b.slots / kinds.tiles, 1.0)
    others = 1.0 - kinds.long / b.sequences
    last = np.sqrt(others) * kinds.short + ANYWHERE * others * work / (b.rounds * busy)
    ends = max(kinds.own - min(last, done), 0.0)
    width = min(max(done - kinds.short, 1e-3 * kinds.own), kinds.own)
    steady = min(busy * count * width / work, count)
    later = count - first if done < kinds.own else steady
    return _Running(first, max(kinds.own - done, 0.0), later, ends, width)
