"""Dense products over tiles.

The schedules:

- ``fastest``: of a few tile shapes and split-k factors the best, as a library's heuristic hopes;
- ``by_rows``: a tile by the number of rows alone, never split;
- ``scaled_mm``: the tiles of vLLM's 8-bit products (`dispatch`) and their `stack`, never split.

For each tile, waves over SMs are counted whole or in part; a wave takes the larger of its
arithmetic and the operands that it streams through L2; all waves together take no less than the
memory needs. Weights that stay in L2 between repeated calls move faster: the public tables time
six layers in turn (`outside_loop_count` of ai-dynamo/aiconfigurator's collector, one for block
scales and fp4), so that what must fit is the weights of all. Long products run at the clock that
the power limit allows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.silicon import dispatch, stack
from tierlab.hwmodels.time.silicon.kernel import (
    Floats,
    Kernel,
    Parameter,
    Values,
    miss_share,
    rounding,
    soft_max,
)
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.once import once
from tierlab.hwmodels.time.silicon.tiles import STEP, Rates, Tile, least_s
from tierlab.kernels.ops.gemm import output_bytes, weight_bytes
from tierlab.kernels.ops.table import DTYPE_BYTES, DTYPES, OpTable

TILES = ((256, 128), (128, 256), (128, 128), (64, 256), (64, 128), (64, 64), (64, 32))
MOST = 16
"""Parts of k, at most: powers of two are tried."""
SPLITTABLE = 65536
"""Largest area of all the tiles of one output tile, where k is split."""
BY_ROWS = ((64, (64, 64)), (128, (64, 128)), (np.inf, (128, 128)))
"""Rows up to which a tile serves, in the manner of vLLM's `cutlass_scaled_mm` dispatch."""
_CYCLES_PER_NS = 132 * 2.0
"""Of the SMs that `row_ns` is stated for."""
ASKED = ((64, 64), (64, 128), (128, 128), (128, 256), (256, 128))
"""Tiles whose waves the trees may ask for."""

PARAMETERS: dict[str, Parameter] = {
    "launch_us": Parameter(2.0, 0.3, 200.0, "before any work, us"),
    "miss_us": Parameter(1.0, 0.01, 15.0, "once the operands do not fit in L2, us"),
    "copies": Parameter(4.0, 1.0, 8.0, "weights that pass until the same return, 1"),
    "l2_share": Parameter(0.8, 0.2, 2.0, "of the L2, what the operands may fill, 1"),
    "l2_sharp": Parameter(5.0, 1.0, 12.0, "how sharply they overflow, 1"),
    "small": Parameter(0.2, 0.01, 1.0, "how efficiency falls with a tile's area: a power, 1"),
    "narrow": Parameter(0.1, 1e-3, 1.0, "how it falls under 128 columns: a power, 1"),
    "peak": Parameter(0.8, 0.05, 1.1, "of the peak that the largest tile reaches, 1"),
    "tile_kc": Parameter(2.0, 0.02, 40.0, "the largest tile's prologue and epilogue, 1000 cycles"),
    "l2_speed": Parameter(2.0, 0.3, 8.0, "L2's bandwidth over the memory's, 1"),
    "hbm_eff": Parameter(0.9, 0.3, 1.05, "of the memory's bandwidth, 1"),
    "sm_gbs": Parameter(60.0, 5.0, 800.0, "what one SM draws from memory, GB/s"),
    "cold": Parameter(0.1, 0.01, 1.0, "traffic that L2 never saves, 1"),
    "step_ns": Parameter(100.0, 5.0, 3000.0, "the least that a step of the loop takes, ns"),
    "reduce_us": Parameter(2.0, 0.05, 30.0, "adding up the splits of k, us"),
    "whole": Parameter(0.8, 0.01, 1.0, "how whole waves are, 1"),
    "input_pass": Parameter(1.0, 1e-3, 30.0, "traffic of quantising the input first, 1"),
    "input_us": Parameter(0.1, 1e-2, 60.0, "launching that, us"),
    "row_ns": Parameter(6.0, 1e-3, 50.0, "a row of it, ns on 132 SMs at 2 GHz"),
    "element_c": Parameter(0.4, 1e-3, 10.0, "an element of it, cycles of an SM", absent=0.4),
    "odd": Parameter(0.1, 1e-3, 30.0, "8-bit traffic of rows in no multiple of 8, more, 1"),
    "energy_pj": Parameter(0.35, 0.02, 2.0, "of a 16-bit operation at 1 GHz; as the clock^2, pJ"),
    "heat_ms": Parameter(1.0, 0.1, 30.0, "work after which they have mostly fallen, ms"),
}


class _Shape:
    """What every tile shape shares."""

    def __init__(self, ops: OpTable, machine: Machine, p: Values) -> None:
        self.m, self.n, self.k = ops["m"], ops["n"], ops["k"]
        self.machine, self.p = machine, p
        self.operand = DTYPE_BYTES[ops.dtype]
        self.stored = weight_bytes(ops)
        self.read = self.n * self.k * self.stored + self.m * self.k * self.operand
        self.written = self.m * self.n * output_bytes(ops)
        l2 = p["l2_share"] * machine.l2_bytes
        again = (p["copies"] - 1.0) * self.n * self.k * self.stored
        self.miss = miss_share(self.read + self.written + again, l2, p["l2_sharp"])
        self.cold = p["cold"] + (1.0 - p["cold"]) * self.miss
        self.flop_per_s = np.array([_peak(machine, d) for d in range(len(DTYPES))])[ops.dtype]
        self.peak = self.flop_per_s * p["peak"]

    def seconds(self, tiles: Sequence[tuple[int, int]], split: bool) -> Floats:
        """Return the time with the best of some tile shapes, s, float64[n]."""
        total = np.empty(len(self.m))
        for rows, dtype in self._same_dtypes():
            rates = self._rates(dtype)
            known = [self._tile(tile, split) for tile in tiles]
            total[rows] = least_s([c[rows] for c in self._columns()], rates, known)
        return total

    def chained(self, tile: tuple[int, int], rows: NDArray[np.bool_]) -> Floats:
        """Return the time of some rows with one tile, whose steps add what they cannot hide, s."""
        total = np.empty(len(self.m))
        for same, dtype in self._same_dtypes():
            rates = self._rates(dtype)
            plain = self._tile(tile, split=False)
            step_s = STEP * 2.0 * tile[0] * tile[1] * rates.sms / plain.share / rates.flop_per_s
            share = plain.share / (1.0 + rates.step_s / step_s)
            mine = np.flatnonzero(rows) if isinstance(same, slice) else np.flatnonzero(rows & same)
            total[mine] = least_s(
                [c[mine] for c in self._columns()], rates._replace(step_s=0.0),
                [plain._replace(share=share, stack=stack.moved_bytes(self.machine, tile))],
            )  # fmt: skip
        return total[rows]

    def _columns(self) -> tuple[Floats, ...]:
        hbm = self.p["hbm_eff"] * self.machine.bytes_per_s
        return (
            self.m, self.n, self.k, self.read * (self.cold / hbm), self.written * (self.miss / hbm),
            self.written,
        )  # fmt: skip

    def _rates(self, row: int) -> Rates:
        p, machine = self.p, self.machine
        return Rates(
            machine.sms, float(self.peak[row]), p["hbm_eff"] * machine.bytes_per_s,
            p["sm_gbs"] * 1e9, p["l2_speed"] * machine.bytes_per_s, float(self.operand[row]),
            float(self.stored[row]), p["whole"], p["step_ns"] * 1e-9, p["reduce_us"] * 1e-6,
        )  # fmt: skip

    def _tile(self, tile: tuple[int, int], split: bool) -> Tile:
        area = tile[0] * tile[1]
        narrow = min(1.0, tile[1] / 128.0) ** self.p["narrow"]
        share = (area / 32768.0) ** self.p["small"] * narrow
        edge_s = self.p["tile_kc"] * 1e3 / self.machine.clock_hz * (area / 32768.0) ** 0.5
        return Tile(tile[0], tile[1], share, edge_s, min(MOST, SPLITTABLE // area) if split else 1)

    def _same_dtypes(self) -> Iterator[tuple[slice | NDArray[np.bool_], int]]:
        """Yield rows of one pair of dtypes, and one of them: mostly all at once."""
        kind = self.operand * 64.0 + self.stored
        if len(kind) and (kind == kind[0]).all() and (self.peak == self.peak[0]).all():
            yield slice(None), 0
            return
        for one in np.unique(np.stack([kind, self.peak]), axis=1).T:
            rows = (kind == one[0]) & (self.peak == one[1])
            yield rows, int(np.argmax(rows))


@once
def _shape(ops: OpTable, machine: Machine, p: Values) -> _Shape:
    return _Shape(ops, machine, p)


def _peak(machine: Machine, dtype: int) -> float:
    return machine.peak(DTYPES[dtype])


def throttled(
    seconds: Floats, operations: Floats, heavier: Floats | float, machine: Machine, p: Values
) -> Floats:
    """Return times at the clock that keeps arithmetic within the power limit, s, float64[n].

    Power is energy x rate, and both fall with the clock: energy as its square (voltage goes with
    it), so the clock's share is the cube root of the power that there is over what it would take.

    Parameters
    ----------
    seconds
        Times at the full clock, s, float64[n].
    operations, heavier
        How many, float64[n], and the power of one, of a 16-bit one's.
    machine, p
        The machine; ``energy_pj`` and ``heat_ms``.
    """
    joules = p["energy_pj"] * 1e-12 * (machine.peak_clock_hz * 1e-9) ** 2
    busy = operations / seconds * heavier
    share = np.minimum(np.cbrt(machine.tdp_w / (busy * joules)), 1.0)
    slower = 1.0 / share - 1.0
    total: Floats = seconds * (1.0 + slower * (1.0 - np.exp(-seconds / (p["heat_ms"] * 1e-3))))
    return total


def seconds(ops: OpTable, machine: Machine, schedule: str, p: Values) -> Floats:
    """Return the time of each call, float64[n]."""
    shape = _shape(ops, machine, p)
    best = _SCHEDULES[schedule](shape)
    work, heavier = 2.0 * shape.m * shape.n * shape.k, machine.peak("bf16") / shape.flop_per_s
    best = throttled(best, work, heavier, machine, p)
    ends = shape.m * (shape.k * shape.operand + shape.n * 2.0)
    odd = (shape.m % 8 != 0) & (shape.operand < 2.0)
    best = best + odd * ends * (p["odd"] / machine.bytes_per_s)
    start_us = p["launch_us"] + p["input_us"] * (shape.operand < 2.0) + p["miss_us"] * shape.miss
    total: Floats = best + _quantised(shape) * (shape.operand < 2.0) + start_us * 1e-6
    return total


def _quantised(shape: _Shape) -> Floats:
    """Return the time of quantising the input, s, float64[n]: a block of threads a row.

    vLLM's ``static_scaled_fp8_quant``. What does not stay in L2 passes memory.
    """
    p, machine = shape.p, shape.machine
    cycles = shape.m * (p["row_ns"] * _CYCLES_PER_NS + p["element_c"] * shape.k)
    moved = shape.m * shape.k * (2.0 + shape.operand)
    miss = miss_share(moved, p["l2_share"] * machine.l2_bytes, p["l2_sharp"])
    memory_s = moved * miss * (p["input_pass"] / (p["hbm_eff"] * machine.bytes_per_s))
    return soft_max(cycles / (machine.sms * machine.clock_hz), memory_s, 4.0)


def _fastest(shape: _Shape) -> Floats:
    return shape.seconds(TILES, split=True)


def _scaled_mm(shape: _Shape) -> Floats:
    wide = shape.operand >= 2.0
    result = _fastest(shape) if wide.any() else np.empty(len(shape.m))
    for tile, served in dispatch.tiles(shape.machine, shape.m, shape.n):
        rows = served & ~wide
        result[rows] = shape.chained(tile, rows)
    return result


def _by_rows(shape: _Shape) -> Floats:
    result, above = np.empty(len(shape.m)), -np.inf
    for most, tile in BY_ROWS:
        mine = (shape.m > above) & (shape.m <= most)
        if mine.any():
            result[mine] = shape.seconds([tile], split=False)[mine]
        above = most
    return result


_SCHEDULES: Mapping[str, Callable[[_Shape], Floats]] = {
    "fastest": _fastest, "by_rows": _by_rows, dispatch.SCHEDULE: _scaled_mm,
}  # fmt: skip


@once
def coordinates(ops: OpTable) -> Mapping[str, Floats]:
    """Return log2 of m, n, k and of the work."""
    m, n, k = (np.log2(np.maximum(ops[c], 1.0)) for c in "mnk")
    return {"m": m, "n": n, "k": k, "mn": m + n, "nk": n + k, "mk": m + k}


def features(
    ops: OpTable, machine: Machine, schedule: str, p: Values, seconds: Floats
) -> Mapping[str, Floats]:
    """Return the waves and tails of common tiles, and where the time goes."""
    shape = _shape(ops, machine, p)
    at = dict(coordinates(ops))
    m, n, k = at["m"], at["n"], at["k"]
    found = {
        **at,
        "mnk": m + n + k,
        "odd": shape.m % 8.0,
        "seconds": np.log2(seconds),
        "memory": np.log2(shape.read + shape.written),
        "miss": shape.miss,
        "compute_share": 2.0 * shape.m * shape.n * shape.k / shape.peak / seconds,
        "memory_share": (shape.read + shape.written) / machine.bytes_per_s / seconds,
    }
    for rows, columns in ASKED:
        tiles = np.ceil(shape.m / rows) * np.ceil(shape.n / columns) / machine.sms
        found[f"waves{rows}x{columns}"] = np.log2(tiles)
        found[f"up{rows}x{columns}"] = rounding(tiles)
    return found


GEMM = Kernel("gemm", tuple(_SCHEDULES), PARAMETERS, seconds, coordinates, features)
