"""Grouped products of routed experts: tiles of each expert's rows, over SMs.

Which experts a batch visits and how many tiles their rows fill follows from its routing
(`kernels.ops.dealing`). A tile may be mostly padding; the experts that are visited are read once,
from L2 where a layer's weights stay there between calls. The schedules:

- ``padded``, ``packed``: one product by itself, whose tiles' height the rows of an expert choose;
  every expert's last tile is whole, or only its first must be;
- ``layer``: as ``padded``, a share of the time that both products of a layer take (`moe_layer`):
  public tables hold a whole layer, which is shared out as the work is, two to one with a gate;
- ``aligned``: as ``layer``, with tiles of 128 that take the longer the less they are filled, as
  FlashInfer's CUTLASS on Hopper (8 experts of 14,336: 2.2 ms with 64 rows each, 0.96 ms with 128);
- ``triton``, ``triton14``, ``blocked``, ``marlin``: as ``layer``, with vLLM's tiles (`moe_tiles`);
- ``marlin_whole``, ``trtllm``, ``swizzled``: likewise, of MXFP4 weights that are padded;
- ``trtllm_least``: as ``trtllm``, untuned: of the heights that are offered the least. A matrix that
  L2 does not hold is read for each tile of its expert's rows (B200, 8 experts of 16,384 on 6,144:
  211 us with a tile of 8 rows each, 341 us with two);
- ``trtllm_nvfp4``, ``trtllm_mxfp8``: likewise, of tokens that are quantised first and padded.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tierlab.hwmodels.time.silicon.kernel import (
    Floats,
    Kernel,
    Parameter,
    Values,
    miss_share,
    soft_max,
    soft_min,
)
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.moe_dealt import dealt, read
from tierlab.hwmodels.time.silicon.moe_features import features
from tierlab.hwmodels.time.silicon.moe_layer import ALIGNED, ALONE, layer
from tierlab.hwmodels.time.silicon.moe_tiles import FAMILIES, HEIGHTS, MARKS, UNTUNED, VLLM
from tierlab.hwmodels.time.silicon.once import once
from tierlab.hwmodels.time.silicon.tiles import STEP
from tierlab.kernels.ops.gemm import output_bytes, weight_bytes
from tierlab.kernels.ops.table import DTYPE_BYTES, DTYPES, OpTable

LEAST = 1.01
"""The smallest exponent of a power law in public tables."""
PARAMETERS: dict[str, Parameter] = {
    "launch_us": Parameter(10.0, 0.5, 200.0, "before any work, us"),
    "expert_ns": Parameter(10.0, 0.1, 3000.0, "an expert's part of the routing, ns"),
    "row_ns": Parameter(0.5, 1e-3, 50.0, "a routed row's part of it, ns"),
    "lone_us": Parameter(1.0, 0.01, 60.0, "more where a token visits one expert, us", 0.01),
    "peak": Parameter(0.6, 0.02, 1.1, "of the peak, with the highest tile, 1"),
    "small": Parameter(0.3, 0.01, 1.5, "how it falls with a tile's height: a power, 1"),
    "tile_us": Parameter(1.0, 0.01, 30.0, "a tile's start and end, us"),
    "part": Parameter(0.5, 1e-3, 5.0, "how much longer a tile takes by its missing rows, 1", 1e-3),
    "whole": Parameter(0.5, 1e-3, 1.0, "how whole waves are, 1"),
    "hbm_eff": Parameter(0.8, 0.1, 1.05, "of the memory's bandwidth, 1"),
    "sm_gbs": Parameter(50.0, 1.0, 800.0, "what one SM draws from memory, GB/s"),
    "l2_share": Parameter(0.8, 0.05, 2.0, "of the L2, what a layer's weights may fill, 1", 1e-3),
    "l2_sharp": Parameter(4.0, 1.0, 12.0, "how sharply it overflows, 1", 1.0),
    "l2_speed": Parameter(2.5, 0.3, 12.0, "L2's bandwidth over the memory's, 1"),
    "step_ns": Parameter(100.0, 5.0, 5000.0, "the least that a step of the loop takes, ns"),
    "odd": Parameter(0.5, 1e-3, 10.0, "how much longer with sizes in no multiple of 16, 1"),
    "between": Parameter(1.5, 0.02, 30.0, "traffic of rows between the products, 1"),
    "tokens": Parameter(1.0, 0.02, 30.0, "traffic of the tokens' own rows, 1", only=UNTUNED),
    "copied": Parameter(1.0, 1e-3, 30.0, "more of it where rows are padded, 1", only=UNTUNED),
    "power": Parameter(2.5, 1.02, 9.0, "how well memory and arithmetic overlap: a norm, 1"),
}


def seconds(ops: OpTable, machine: Machine, schedule: str, p: Values) -> Floats:
    """Return the time of each call, float64[n]."""
    return _Batch(ops, machine, schedule, p).seconds()


class _Batch:
    """What all products of a table share while their times are added up."""

    def __init__(self, ops: OpTable, machine: Machine, schedule: str, p: Values) -> None:
        self.ops, self.machine, self.p = ops, machine, p
        self.schedule, self.read = schedule, read(ops)
        self.routed = ops["m"] * ops["top_k"]
        self.of, self.uneven, rows, (self.height, self.width), whole = dealt(ops, machine, schedule)
        full = rows / self.height
        self.high = np.maximum(full, 1.0) if schedule == "packed" else whole
        if schedule == ALIGNED:
            self.high = self.high + p["part"] * (self.high - full)
        self.peak = np.array([machine.peak(d) for d in DTYPES])[ops.dtype] * p["peak"]
        self.stored, self.wide = weight_bytes(ops), DTYPE_BYTES[ops.dtype]
        self.miss = self._miss()

    def _miss(self) -> Floats:
        """Return the share of weights that L2 does not hold between calls."""
        weights = self.read * self.ops["n"] * self.ops["k"] / self.of.share * self.stored
        room = self.p["l2_share"] * self.machine.l2_bytes
        return miss_share(weights, room, self.p["l2_sharp"])

    def seconds(self) -> Floats:
        """Return each product's share of its layer's time."""
        ops, p, of = self.ops, self.p, self.of
        routing_s = (ops["experts"] * p["expert_ns"] + self.routed * p["row_ns"]) * 1e-9
        start_s = (p["launch_us"] + p["lone_us"] * (ops["top_k"] == 1.0)) * 1e-6
        odd = 1.0 + p["odd"] * self.uneven
        busy_s = self.product_s(of.inner * (1.0 + of.gates), of.outer)
        if self.schedule not in ALONE:
            busy_s = busy_s + self.product_s(of.outer, of.inner)
        if self.schedule in UNTUNED:
            busy_s = busy_s + self.tokens_s()
        total: Floats = (busy_s * odd + routing_s + start_s) * of.share
        return total

    def tokens_s(self) -> Floats:
        """Return the time of reading tokens in 16 bits, storing them narrow, and their sums.

        Where vLLM pads the model's width it copies them, too.
        """
        outer, p = self.of.outer, self.p
        copied = p["copied"] * (outer != layer(self.ops).outer)
        moved = self.ops["m"] * outer * (2.0 + self.wide + 2.0)
        found: Floats = moved * (p["tokens"] + copied) / self.machine.bytes_per_s
        return found

    def product_s(self, n: Floats, k: Floats) -> Floats:
        """Return the time of products that are `n` wide and `k` deep, with their rows' traffic."""
        machine, p = self.machine, self.p
        count = self.read * self.high * np.ceil(n / self.width)
        waves = count / machine.sms
        waves = np.maximum(1.0, waves + p["whole"] * (np.ceil(waves) - waves))
        share = (self.height / HEIGHTS[-1]) ** p["small"]
        arithmetic_s = 2.0 * self.height * self.width * k * machine.sms / (self.peak * share)
        arithmetic_s = np.maximum(arithmetic_s, k / STEP * p["step_ns"] * 1e-9)
        compute_s = waves * (arithmetic_s + p["tile_us"] * 1e-6)
        moved = self.routed * (k * self.wide + n * output_bytes(self.ops))
        weights = self.read * n * k * self.stored * self.miss
        if self.schedule in UNTUNED:
            weights = weights * self.times_read(n * k * self.stored)
        drawn = np.minimum(count, machine.sms) * p["sm_gbs"] * 1e9
        memory_s = (weights + moved) / soft_min(p["hbm_eff"] * machine.bytes_per_s, drawn)
        line = self.height * self.wide + self.width * self.stored
        stream_s = count * k * line / (p["l2_speed"] * machine.bytes_per_s)
        busy_s = soft_max(np.maximum(compute_s, stream_s), memory_s, p["power"])
        found: Floats = busy_s + p["between"] * moved / machine.bytes_per_s
        return found

    def times_read(self, matrix: Floats) -> Floats:
        """Return how often a matrix of so many bytes is read: once a tile where L2 is too small."""
        room = self.p["l2_share"] * self.machine.l2_bytes
        again: Floats = 1.0 + (self.high - 1.0) * miss_share(matrix, room, self.p["l2_sharp"])
        return again


@once
def coordinates(ops: OpTable) -> Mapping[str, Floats]:
    """Return log2 of tokens, rows an expert, width, depth, experts, weights read, and exponent.

    Tokens that are dealt evenly or drawn alike have the least exponent that was measured.
    """
    touched = read(ops)
    tokens = np.log2(np.maximum(ops["m"], 1.0))
    rows = tokens + np.log2(np.maximum(ops["top_k"], 1.0) / touched)
    n, k = np.log2(ops["n"]), np.log2(ops["k"])
    return {
        "tokens": tokens,
        "rows": rows,
        "nk": n + k,
        "experts": np.log2(np.maximum(ops["experts"], 1.0)),
        "read": np.log2(touched) + n + k,
        "n": n,
        "k": k,
        "routing": np.log2(np.maximum(ops["routing"], LEAST)),
    }


_ROUTED = (*ALONE, "layer", ALIGNED, *VLLM)
GROUPED_GEMM = Kernel(
    "grouped_gemm", _ROUTED, PARAMETERS, seconds, coordinates, features, MARKS, FAMILIES
)
