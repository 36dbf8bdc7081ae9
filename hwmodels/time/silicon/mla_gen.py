"""How TensorRT-LLM's generated kernels lay MLA's decode out on Blackwell.

As its runner chooses (NVIDIA/TensorRT-LLM, ``kernels/trtllmGenKernels/fmha/fmhaKernels.h``:
`useSwapsMmaAbMlaGenKernel`, `selectMlaGenerationKernel`, `computeNumCtas`; Apache-2.0):

- up to 32 heads, and more while few CTAs have at most 1,024 keys each, the low-latency kernel: 8 or
  16 heads a CTA; else 64 heads, and 128 on two CTAs that load the cache once;
- a sequence is split over as many CTAs as there are SMs for, each with two steps of keys at least;
- where half or a quarter of the SMs would do, CTAs share the values' width, 256 or 128 each;
- up to 16 splits of the low-latency kernel are one cluster, which combines them itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.silicon.kernel import (
    Floats,
    Parameter,
    Values,
    rounding,
    soft_max,
)
from tierlab.hwmodels.time.silicon.latents import Rates, cached, coordinates, read_s
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.kernels.ops.attention import value_dim
from tierlab.kernels.ops.table import OpTable

SCHEDULE = "generated"
STEP = 128.0
"""Keys of one step."""
LEAST_STEPS = 2.0
FEW_HEADS, LOW_ROWS, LEAST_ROWS, ROWS = 32.0, 16.0, 8.0, 64.0
MOST_KEYS, MOST_KEYS_STEP = 1024.0, 256.0
CLUSTER = 16.0
PAIR = 128.0
"""Heads that two CTAs take together. 64 rows fill half of a tensor core (PTX ISA, `tcgen05.mma`, M
of 64 and 128): a step of the pair is taken to be half as long where none was measured."""


_own = partial(Parameter, only=(SCHEDULE,))


PARAMETERS: dict[str, Parameter] = {
    "gen_launch_us": _own(9.0, 0.5, 60.0, "before any work, us"),
    "gen_wide_us": _own(0.2, 1e-3, 10.0, "per doubling of the CTAs that the SMs share, us"),
    "gen_first_us": _own(1.0, 0.02, 30.0, "a CTA's start and end, us"),
    "gen_step_us": _own(1.5, 0.05, 20.0, "128 keys of 16 heads, all of the values' width, us"),
    "gen_high": _own(1.2, 0.3, 8.0, "of that, 128 keys of 64 heads, 1"),
    "gen_pair": _own(0.5, 0.1, 2.0, "of 64 heads' step, one of 128 on two CTAs, 1"),
    "gen_values": _own(0.5, 0.01, 1.0, "of a step, what half the values' width saves, 1"),
    "gen_waves": _own(0.5, 1e-3, 1.0, "how whole waves are, 1"),
    "gen_join_us": _own(2.0, 0.01, 30.0, "combining splits, us"),
    "gen_split_us": _own(0.1, 1e-3, 3.0, "each split of it, us"),
    "gen_apart_us": _own(2.0, 0.01, 30.0, "combining them in a kernel of its own, more, us"),
    "gen_cluster": _own(0.5, 1e-3, 3.0, "of combining, what a cluster takes, 1"),
    "gen_memory": _own(0.8, 0.2, 1.05, "of the memory's bandwidth, 1"),
    "gen_draw_gbs": _own(80.0, 2.0, 500.0, "what one SM draws, GB/s"),
    "gen_cache": _own(2.0, 0.3, 10.0, "L2's bandwidth over the memory's, 1"),
    "gen_room": _own(0.8, 0.1, 2.0, "of the L2, what the cache may fill, 1"),
    "gen_sharp": _own(4.0, 1.0, 12.0, "how sharply it overflows, 1"),
    "gen_ends": _own(1.0, 0.05, 20.0, "traffic of queries, outputs and partial sums, 1"),
    "gen_power": _own(2.0, 1.02, 9.0, "how well memory and arithmetic overlap: a norm, 1"),
}


class Layout(NamedTuple):
    """How calls are laid out, float64[n] unless said.

    Attributes
    ----------
    low
        bool[n]: the low-latency kernel.
    rows
        Heads of a tile.
    heads
        CTAs over the heads; of a pair, 2.
    parts
        CTAs over the values' width.
    splits
        CTAs over the keys of a sequence.
    keys
        Of one CTA, in whole steps.
    paired, clustered
        bool[n]: two CTAs load once; splits are combined within a cluster.
    """

    low: NDArray[np.bool_]
    rows: Floats
    heads: Floats
    parts: Floats
    splits: Floats
    keys: Floats
    paired: NDArray[np.bool_]
    clustered: NDArray[np.bool_]

    def ctas(self, batch: Floats) -> Floats:
        """Return how many CTAs a batch has, float64[n]."""
        found: Floats = batch * self.heads * self.parts * self.splits
        return found

    def passes(self) -> Floats:
        """Return how often the cache's rows are loaded, float64[n]."""
        return np.where(self.paired, 1.0, self.heads * self.parts)


def layout(ops: OpTable, machine: Machine) -> Layout:
    """Return the layout of each decode call over latents."""
    batch, heads, keys = ops["batch"], ops["heads"], ops["kv_len"]
    low = (heads <= FEW_HEADS) | _short(batch, heads, keys, machine)
    rows = np.where(low, np.where(heads <= LEAST_ROWS, LEAST_ROWS, LOW_ROWS), ROWS)
    tiles = np.ceil(heads / rows)
    paired = ~low & (heads == PAIR)
    splits = _splits(batch * tiles, keys, machine)
    parts = np.where(paired, 1.0, _parts(ops, batch * tiles * splits, machine))
    splits = _splits(batch * tiles * parts, keys, machine)
    each = np.ceil(keys / splits / STEP) * STEP
    clustered = low & (batch > 1.0) & (splits > 1.0) & (splits <= CLUSTER)
    return Layout(low, rows, tiles, parts, splits, each, paired, clustered)


def _short(batch: Floats, heads: Floats, keys: Floats, machine: Machine) -> NDArray[np.bool_]:
    """Say where many heads still run the low-latency kernel, bool[n]."""
    ctas = batch * np.ceil(heads / LOW_ROWS)
    most = np.ceil(keys / MOST_KEYS_STEP)
    splits = np.minimum(most, np.maximum(1.0, np.floor(machine.sms / ctas)))
    found: NDArray[np.bool_] = (np.ceil(keys / splits) <= MOST_KEYS) & (ctas <= machine.sms)
    return found


def _splits(ctas: Floats, keys: Floats, machine: Machine) -> Floats:
    most = np.ceil(keys / (LEAST_STEPS * STEP))
    found: Floats = np.minimum(most, np.maximum(1.0, np.floor(machine.sms / ctas)))
    return found


def _parts(ops: OpTable, ctas: Floats, machine: Machine) -> Floats:
    """Return by how many CTAs the values' width is shared, float64[n]: 1, 2 or 4."""
    spare = np.where(ops["batch"] == 1.0, 1.0, 2.0) * ctas
    wide = np.where(spare <= machine.sms, 2.0, 1.0)
    found: Floats = np.where(2.0 * spare <= machine.sms, 4.0, wide)
    return np.minimum(found, np.maximum(value_dim(ops) / 128.0, 1.0))


def seconds(ops: OpTable, machine: Machine, p: Values) -> Floats:
    """Return the time of each decode call, float64[n]."""
    of, batch = layout(ops, machine), ops["batch"]
    ctas = of.ctas(batch)
    shared = ctas / machine.sms
    waves = np.maximum(1.0, shared + p["gen_waves"] * (np.ceil(shared) - shared))
    steps_s = of.keys / STEP * _step_s(of, p) + p["gen_first_us"] * 1e-6
    busy_s = soft_max(waves * steps_s, _memory_s(ops, machine, of, p), p["gen_power"])
    start_us = p["gen_launch_us"] + p["gen_wide_us"] * np.log2(np.minimum(machine.sms, ctas))
    ends = batch * ops["heads"] * (ops["head_dim"] + value_dim(ops) * of.splits) * 2.0
    total: Floats = busy_s + _join_s(of, p) + start_us * 1e-6
    total += p["gen_ends"] * ends / machine.bytes_per_s
    return total


def _step_s(of: Layout, p: Values) -> Floats:
    """Return what a CTA takes for one step of keys, s, float64[n]."""
    kind = np.where(of.low, 1.0, p["gen_high"] * np.where(of.paired, p["gen_pair"], 1.0))
    values = 1.0 - 2.0 * p["gen_values"] * (0.5 - 0.5 / of.parts)
    found: Floats = p["gen_step_us"] * 1e-6 * kind * values
    return found


def _join_s(of: Layout, p: Values) -> Floats:
    """Return what combining the splits takes, s, float64[n]."""
    join = p["gen_join_us"] + p["gen_split_us"] * of.splits
    join = np.where(of.clustered, p["gen_cluster"] * join, join)
    found: Floats = np.where(of.splits > 1.0, join + p["gen_apart_us"] * ~of.low, 0.0) * 1e-6
    return found


def _memory_s(ops: OpTable, machine: Machine, of: Layout, p: Values) -> Floats:
    """Return what memory and L2 need, s, float64[n]: CTAs of other heads load the keys again."""
    rates = Rates(*(p[f"gen_{name}"] for name in Rates._fields))
    drawing = np.minimum(of.ctas(ops["batch"]), machine.sms)
    return read_s(ops, machine, of.passes(), drawing, rates)


def features(ops: OpTable, machine: Machine, seconds: Floats) -> Mapping[str, Floats]:
    """Return how calls are laid out, and what memory needs."""
    of, batch, keys = layout(ops, machine), ops["batch"], ops["kv_len"]
    ctas, tiles = of.ctas(batch), batch * of.heads
    rows = cached(ops)
    return {
        **coordinates(ops),
        "kernel": of.low + 2.0 * of.paired,
        "tiles": np.log2(tiles),
        "lanes": np.log2(batch * ops["heads"]),
        "filled": np.minimum(ops["heads"], of.rows) / of.rows,
        "parts": of.parts,
        "splits": np.log2(of.splits),
        "each": np.log2(of.keys),
        "clustered": of.clustered.astype(np.float64),
        "waves": np.log2(ctas / machine.sms),
        "waves_up": rounding(ctas / machine.sms),
        "work": np.log2(tiles * of.parts * keys),
        "cached": np.log2(rows / machine.l2_bytes),
        "loaded": np.log2(rows * of.passes()),
        "seconds": np.log2(seconds),
        "memory_share": rows / machine.bytes_per_s / seconds,
    }
