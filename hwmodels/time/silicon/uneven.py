"""Decode batches whose sequences differ in length: what the longest add once the others are done.

Of the lengths, mean and longest are known. Some sequences are taken to be as long as the longest,
and the others `SHORTER` times shorter. CTAs start in order on the SMs that are free: head by head
the whole batch, or, where tiles are split, sequence by sequence (the grids of
``run_flash_splitkv_fwd``). While SMs are busy memory is, too, and lengths make no difference; then
only long ones run on, each at the pace of a CTA alone (`Pace`). Counted over keys instead of
seconds, a CTA's progress does not depend on what it draws: the CTAs that run at each key give the
time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tierlab.hwmodels.time.silicon.kernel import Floats
from tierlab.kernels.ops.table import COLUMNS, OpTable

SHORTER = 4.0
"""The longest over the others: as in LLMServingSim's `skew.csv`; an assumption (2026-11-21)."""
ANYWHERE = 0.5
"""Of a batch, what starts after its last long sequence: it may be anywhere; an assumption
(2026-11-21). In `skew.csv` long ones are first."""
_ROUNDS = 3
_POINTS = (np.arange(16.0)[:, None] + 0.5) / 16.0


def even(ops: OpTable) -> OpTable:
    """Return the same batches with all sequences of the mean length."""
    values = ops.values.copy()
    values[COLUMNS.index("kv_len_spread")] = 0.0
    return OpTable(ops.op, ops.dtype, ops.kv_dtype, values)


def of_longest(ops: OpTable) -> OpTable:
    """Return even batches of sequences that are all as long as the longest."""
    made = even(ops)
    made.values[COLUMNS.index("kv_len")] = longest(ops)
    return made


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
    """

    sequences: Floats
    mean: Floats
    longest: Floats
    lanes: Floats
    splits: Floats
    slots: Floats


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
    over = np.maximum(b.longest - short, 1e-9)
    long = np.where(
        b.longest > b.mean, np.clip(b.sequences * (b.mean - short) / over, 1.0, b.sequences),
        b.sequences,
    )  # fmt: skip
    others = b.sequences - long
    left = np.maximum(b.sequences * b.mean - long * b.longest, 0.0)
    keys = np.where(others > 1e-6, left / np.maximum(others, 1e-6), b.longest)
    own = b.longest / b.splits
    tiles = b.lanes * (long * b.splits + others * np.maximum(keys / own, 1.0))
    return _Split(long, own, np.minimum(keys, own), tiles)


def _waited_s(b: Batch, pace: Pace) -> Floats:
    """Return what long CTAs take longer alone than all SMs would for the same keys, s."""
    kinds = _two_kinds(b)
    work = b.sequences * b.mean * b.lanes
    busy = np.minimum(b.slots, kinds.tiles)
    until = np.maximum(work / busy, kinds.short)
    for _ in range(_ROUNDS):
        running = _running(b, kinds, work, busy, until)
        left = running.mean(axis=0) * kinds.own
        until = 0.5 * (until + np.maximum((work - left) / busy, kinds.short))
    running = _running(b, kinds, work, busy, until)
    slower = np.maximum(pace.alone_s - running * pace.full_s, 0.0) * (running > 0)
    waited: Floats = slower.mean(axis=0) * kinds.own
    return waited


def _running(b: Batch, kinds: _Split, work: Floats, busy: Floats, until: Floats) -> Floats:
    """Return the long CTAs that still run at `_POINTS` of their keys after the others, [16, n].

    `until`: the keys that an SM had done by then. Those of the first wave started together, the
    others evenly until the last long one did.
    """
    at = _POINTS * kinds.own
    count = kinds.long * b.lanes * b.splits
    first = count * np.minimum(b.slots / kinds.tiles, 1.0)
    others = 1.0 - kinds.long / b.sequences
    rounds = np.where(b.splits > 1, 1.0, b.lanes)
    last = np.sqrt(others) * kinds.short + ANYWHERE * others * work / (rounds * busy)
    ends = kinds.own - np.minimum(last, until)
    width = np.clip(until - kinds.short, 1e-3 * kinds.own, kinds.own)
    steady = np.minimum(busy * count * kinds.own / work * width / kinds.own, count)
    later = np.where(until < kinds.own, count - first, steady)
    together = first * (at < kinds.own - until)
    found: Floats = together + later * np.clip((ends - at) / width, 0.0, 1.0)
    return found
