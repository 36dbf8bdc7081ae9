"""The gradient of prefill attention: blocks of keys over SMs, each looping over blocks of queries.

FlashAttention's backward (arXiv 2307.08691, section 3.1.2): a CTA holds a block of keys and values
of one query head, walks the blocks of queries that see it, computes scores and their gradient anew
(five products), keeps dK and dV, and adds its share of dQ to 32-bit sums in memory. A kernel before
it multiplies O and dO row by row and clears those sums, one after it turns them into 16 bits. The
schedules, with their tiles by head width:

- ``fa2``: Dao-AILab/flash-attention ``csrc/flash_attn/src/flash_bwd_launch_template.h``, tiles by
  shared memory, too. It runs on every GPU by Ampere's instructions, whose rate newer SMs do not
  raise with their own (`legacy`). Grouped heads: dK and dV of each query head, summed by PyTorch.
  On Blackwell without data-centre SMs it stands for FlashAttention 4's kernel of the same
  instructions, in blocks of 64 x 64 (``flash_attn/cute/flash_bwd_sm120.py``).
- ``fa3``: ``hopper/flash_bwd_launch_template.h``; FlashAttention 4 has the same tiles on Hopper
  (``flash_attn/cute/interface.py``). Grouped heads add to 32-bit sums of dK and dV, turned into 16
  bits by two kernels more.
- ``fa4``: ``flash_attn/cute/flash_bwd_sm100.py``. Heads of 97 to 192 without a window run in pairs
  of CTAs that share a block of queries and halve what is added to dQ (pull requests 2270, 2280);
  heads over 192 take two kernels, dK with dV and dQ, and seven products (pull request 2412).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from tierlab.hwmodels.time.silicon.gemm import throttled
from tierlab.hwmodels.time.silicon.kernel import (
    Floats,
    Kernel,
    Parameter,
    Values,
    generation,
    query_sizes,
    reach,
    soft_max,
    through_l2,
)
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.once import once
from tierlab.kernels.ops.attention import value_dim, visible_keys, visible_pairs
from tierlab.kernels.ops.table import OpTable

OP = "prefill_attention_backward"
SCHEDULES = ("fa2", "fa3", "fa4")
MADE = {"fa3": "hopper", "fa4": "blackwell"}
"""Schedule -> the generation whose instructions it is written in."""

_FREE: dict[str, Parameter] = {
    "launch_us": Parameter(8.0, 0.5, 80.0, "before any work, us"),
    "pass_us": Parameter(3.0, 0.3, 30.0, "a small kernel before or after, us"),
    "cta_kc": Parameter(2.0, 0.05, 40.0, "a block of keys, beyond its loop, 1000 cycles"),
    "step_c": Parameter(100.0, 1.0, 4000.0, "a step of the loop, beyond its work, cycles"),
    "peak": Parameter(0.8, 0.1, 1.0, "of the tensor cores' peak, 1"),
    "legacy": Parameter(
        2500.0, 800.0, 8000.0, "what Ampere's instructions reach, FLOP a cycle of an SM",
        only=("fa2",),
    ),
    "crowded": Parameter(
        1.0, 0.5, 3.0, "how much longer products of some widths of heads take (`_CROWDED`), 1",
    ),
    "vector": Parameter(0.15, 1e-3, 2.0, "what is done with a score, cycles of an SM"),
    "adds": Parameter(64.0, 4.0, 1000.0, "32-bit sums added to memory, bytes a cycle of an SM"),
    "power": Parameter(1.5, 1.02, 9.0, "how well the two overlap with products: a norm, 1"),
    "tail": Parameter(0.5, 0.01, 1.0, "how whole waves are, 1"),
    "hbm_eff": Parameter(0.85, 0.3, 1.0, "of the memory's bandwidth, 1"),
    "energy_pj": Parameter(0.35, 0.02, 2.0, "of an operation at 1 GHz; as the clock^2, pJ"),
    "heat_ms": Parameter(2.0, 0.1, 30.0, "work after which clocks have mostly fallen, ms"),
}  # fmt: skip

_FIRM = 5.0
"""How firmly they are held to where they start: published times are few. Between 1 and 15, GPUs
left out are missed by 7.7% to 8.6% in the median (2026-11-22)."""
PARAMETERS = {name: replace(one, firm=_FIRM) for name, one in _FREE.items()}
_WIDE = (64.0, 96.0, 128.0, 192.0)
"""Head widths up to which one set of tiles goes; the last goes on from there."""
_LARGE_SRAM = 144.0 * 1024.0
_TILES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "fa2": ((128, 64, 64, 64, 64), (128, 128, 128, 64, 64)),
    "fa2 small": ((64, 64, 64, 64, 64), (128, 128, 64, 64, 32)),
    "fa2 sm120": ((64, 64, 64, 64, 64), (64, 64, 64, 64, 32)),
    "fa3": ((128, 64, 64, 64, 64), (128, 128, 128, 96, 80)),
    "fa4": ((128, 128, 128, 128, 128), (128, 128, 128, 128, 128)),
}
"""Schedule -> queries and keys of a block, by head width."""
_CROWDED = {"fa2 sm120": (128.0, np.inf), "fa3": (192.0, np.inf), "fa4": (128.0, 192.0)}
"""Set of tiles -> widths of heads, over and up to, whose products the published times show slower.
Registers and shared memory hold less in advance for wide heads; the sources do not say how much.
Four warps with blocks of 64 x 64 would need 320 registers each for heads of 192 and 128, of 255."""
_SUM_BYTES = 4.0
_L2, _L2_SHARP = {"l2_share": 0.7, "l2_speed": 2.5}, 4.0
"""Of the L2, what calls may fill, and its rate over the memory's; how sharply it overflows. As fits
of forward's kernels have them: no published backward is small enough to tell."""
_OVERLAP = 4.0


class Tiles(NamedTuple):
    """How one head is cut, all float64[n].

    Attributes
    ----------
    rows, keys
        Queries and keys of a block.
    pair
        CTAs that share a block of queries, each with keys of its own.
    again
        Products beyond the five, each over a head width.
    """

    rows: Floats
    keys: Floats
    pair: Floats
    again: Floats


class Cut(NamedTuple):
    """Units of work of a call, float64[n]: CTAs or pairs, the longest's steps, and all steps."""

    units: Floats
    longest: Floats
    steps: Floats


def engine(machine: Machine) -> str:
    """Return the schedule of the fastest FlashAttention that runs on a GPU."""
    by_generation = {made: name for name, made in MADE.items()}
    return by_generation.get(generation(machine), "fa2")


@once
def tiles(ops: OpTable, machine: Machine, schedule: str) -> Tiles:
    """Return how a schedule cuts one head."""
    wide = np.maximum(ops["head_dim"], value_dim(ops))
    place = np.searchsorted(_WIDE, wide)
    rows, keys = (np.array(v)[place] for v in _TILES[_variant(schedule, machine)])
    one, none = np.ones(len(ops)), np.zeros(len(ops))
    if schedule != "fa4":
        return Tiles(rows, keys, one, none)
    apart = wide > _WIDE[-1]
    pairs = apart | ((wide > _WIDE[1]) & ~reach(ops)[1])
    again = np.where(apart, 2.0 * padded(ops["head_dim"]), 0.0)
    return Tiles(rows, keys, np.where(pairs, 2.0, 1.0), again)


def _variant(schedule: str, machine: Machine) -> str:
    """Return the set of tiles that a schedule has on a machine."""
    if schedule != "fa2" or machine.sram_bytes >= _LARGE_SRAM:
        return schedule
    return "fa2 sm120" if "fp4" in machine.flop_per_s else "fa2 small"


def padded(width: Floats) -> Floats:
    """Return the width that a kernel is compiled for: a multiple of 32."""
    larger: Floats = 32.0 * np.ceil(width / 32.0)
    return larger


def cut(ops: OpTable, tile: Tiles, full: bool) -> Cut:
    """Return the units of a call; `full` leaves out the causal mask."""
    queries, keys = ops["q_len"], tile.keys * tile.pair
    lanes, per_head = ops["batch"] * ops["heads"], np.ceil(queries / tile.rows)
    units = lanes * np.ceil(ops["kv_len"] / keys)
    if full:
        return Cut(units, per_head, units * per_head)
    past, binds = ops["kv_len"] - queries, reach(ops)[1]
    seen = np.ceil(ops["kv_len"] / keys)
    seen = seen + _blocks(past + tile.rows + keys - 1.0, per_head - 1.0, tile.rows, keys)
    longest = per_head
    if binds.any():
        within = np.ceil((keys + ops["window"] - 2.0) / tile.rows) + 1.0
        longest = np.where(binds, np.minimum(per_head, within), per_head)
        seen = np.maximum(seen - _behind(ops, past, per_head, tile.rows, keys), per_head)
    return Cut(units, longest, lanes * seen)


def _behind(ops: OpTable, past: Floats, per_head: Floats, rows: Floats, keys: Floats) -> Floats:
    """Return the steps of a head that its window leaves out: those before its first key."""
    start = np.where(reach(ops)[1], past - ops["window"] + 1.0, 0.0)
    first = np.clip(np.ceil(-start / rows), 0.0, per_head)
    left = _blocks(start + first * rows, per_head - first, rows, keys)
    return np.where(reach(ops)[1], left, 0.0)


def _blocks(start: Floats, many: Floats, rows: Floats, keys: Floats) -> Floats:
    """Return the sum of floor((start + i rows) / keys) for i = 0 .. many - 1, float64[n].

    Over a period of keys / step, what is left over a block takes each multiple of the common
    divisor once, beside what `start` leaves over it; what is no whole period is added one by one.
    """
    step = np.gcd(rows.astype(np.int64), keys.astype(np.int64))
    period = keys / step
    even = np.maximum(many - np.mod(many, period), 0.0)
    over = (keys - step) / 2.0 + np.mod(start, step)
    found: Floats = even * (start - over + rows * (even - 1.0) / 2.0) / keys
    for i in range(int(period.max(initial=1.0)) - 1):
        found = found + np.where(even + i < many, np.floor((start + (even + i) * rows) / keys), 0.0)
    return found


def seconds(ops: OpTable, machine: Machine, schedule: str, p: Values) -> Floats:
    """Return the time of each call, float64[n]."""
    return timed(ops, machine, schedule, p, full=False)


def timed(ops: OpTable, machine: Machine, schedule: str, p: Values, *, full: bool) -> Floats:
    """Return the time of each call, float64[n]; `full` leaves out the causal mask.

    No table can state calls without the mask; what is published of them teaches the same constants.
    """
    tile = tiles(ops, machine, schedule)
    work = cut(ops, tile, full)
    computed = _computed(ops, machine, schedule, p, tile, work)
    moved = _Moved(ops, machine, schedule, tile)
    main_s = soft_max(computed, moved.seconds(moved.main, p), _OVERLAP)
    small_s = moved.seconds(moved.side, p) + moved.passes * (p["pass_us"] * 1e-6)
    total: Floats = p["launch_us"] * 1e-6 + main_s + small_s
    return total


def _computed(
    ops: OpTable, machine: Machine, schedule: str, p: Values, tile: Tiles, work: Cut
) -> Floats:
    """Return what the SMs take for the steps of all units, s."""
    dim, wide = padded(ops["head_dim"]), padded(value_dim(ops))
    area, clock = tile.rows * tile.keys, machine.clock_hz
    flops = 2.0 * area * (3.0 * dim + 2.0 * wide + tile.again)
    rate = _rate(np.maximum(dim, wide), machine, schedule, p)
    added = np.where(tile.again > 0, 0.0, tile.rows * dim * (_SUM_BYTES / p["adds"]) / tile.pair)
    beside = (area * p["vector"] + added) / clock
    step_s = soft_max(flops / rate, beside, p["power"]) + p["step_c"] / clock
    waves = work.units * tile.pair / machine.sms
    whole = p["tail"] * (np.ceil(waves) - waves)
    mean = work.steps / work.units
    steps = np.maximum(work.longest, mean * (waves + whole))
    busy_s = steps * step_s + np.maximum(waves + whole, 1.0) * (p["cta_kc"] * 1e3 / clock)
    return throttled(busy_s, work.steps * tile.pair * flops, 1.0, machine, p)


def _rate(wide: Floats, machine: Machine, schedule: str, p: Values) -> Floats:
    """Return what the tensor cores of one SM reach, FLOP/s, by head width."""
    own = machine.peak("bf16") / machine.sms
    if schedule == "fa2":
        own = min(own, p["legacy"] * machine.peak_clock_hz)
    low, high = _CROWDED.get(_variant(schedule, machine), (np.inf, np.inf))
    slower = np.where((wide > low) & (wide <= high), p["crowded"], 1.0)
    reached: Floats = p["peak"] * own / slower
    return reached


class _Moved:
    """Bytes that the kernels of a call move, and how many small ones there are."""

    def __init__(self, ops: OpTable, machine: Machine, schedule: str, tile: Tiles) -> None:
        self._machine = machine
        rows, dim, wide = (
            ops["batch"] * ops["q_len"] * ops["heads"],
            ops["head_dim"],
            value_dim(ops),
        )
        both = dim + wide
        entries = ops["batch"] * visible_keys(ops) * ops["kv_heads"] * both
        group = ops["heads"] / ops["kv_heads"]
        grouped = group > 1.0
        sums = np.where(tile.again > 0, 0.0, rows * dim * _SUM_BYTES)
        ends = rows * 2.0 * both
        if schedule == "fa2":
            gradients = 2.0 * entries * group
            after = np.where(grouped, 2.0 * entries * (group + 1.0), 0.0)
        else:
            gradients = np.where(grouped, 2.0 * _SUM_BYTES, 2.0) * entries
            after = np.where(grouped, (2.0 * _SUM_BYTES + 2.0) * entries, 0.0)
        self.main = ends + 2.0 * entries + gradients + 2.0 * sums
        self.side = 2.0 * rows * wide * 2.0 + 2.0 * rows * dim + 2.0 * sums + after
        self.passes = 2.0 + np.where(grouped, 2.0 if schedule == "fa2" else 4.0, 0.0)
        self._touched = 2.0 * ends + 4.0 * entries + sums

    def seconds(self, moved: Floats, p: Values) -> Floats:
        """Return what memory takes for so many bytes, s, where L2 keeps what it can."""
        known = {**_L2, "hbm_eff": p["hbm_eff"]}
        return through_l2(moved, self._touched, self._machine, known, _L2_SHARP).busy


@once
def coordinates(ops: OpTable) -> Mapping[str, Floats]:
    """Return log2 of queries, heads over the batch, head width, group, work, and keys in sight."""
    return {**query_sizes(ops), "seen": np.log2(visible_pairs(ops) / ops["q_len"])}


BACKWARD = Kernel(OP, SCHEDULES, PARAMETERS, seconds, coordinates, made=MADE)
