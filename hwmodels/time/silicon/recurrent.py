"""Linear attention and Mamba-2: a state of `head_dim` x `state_size` for each head.

Decode reads and writes every state once. Prefill goes through chunks of `CHUNK` tokens one after
the other for the state, and computes inside them at once. The public tables are of gated delta
rule (Qwen3.5): heads are its value heads, `kv_heads` its key heads, `state_size` a key's width.
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
)
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.kernels.ops.mamba import decode_flops, prefill_flops, traffic_bytes
from tierlab.kernels.ops.table import OpTable

CHUNK = 64.0
_SHARED: dict[str, Parameter] = {
    "launch_us": Parameter(4.0, 0.3, 200.0, "before any work, us"),
    "wide_us": Parameter(0.1, 1e-3, 10.0, "per doubling of the heads that the SMs share, us"),
    "head_us": Parameter(0.5, 0.005, 50.0, "a head on one SM, us"),
    "whole": Parameter(0.5, 1e-3, 1.0, "how whole waves are, 1"),
    "hbm_eff": Parameter(0.8, 0.02, 1.05, "of the memory's bandwidth, 1"),
    "l2_share": Parameter(0.8, 0.1, 3.0, "of the L2, what the traffic may fill, 1"),
    "l2_sharp": Parameter(3.0, 1.0, 12.0, "how sharply it overflows, 1"),
    "l2_speed": Parameter(2.0, 0.3, 10.0, "L2's bandwidth over the memory's, 1"),
    "peak": Parameter(0.2, 0.002, 1.1, "of the peak, 1"),
    "power": Parameter(2.0, 1.02, 9.0, "how well memory and arithmetic overlap: a norm, 1"),
}
PREFILL_PARAMETERS = _SHARED | {
    "chunk_us": Parameter(1.0, 0.01, 50.0, "a chunk after the one before it, us"),
    "some_us": Parameter(1.0, 1e-3, 100.0, "per doubling of the tokens, us"),
}


def _busy_s(ops: OpTable, machine: Machine, flops: Floats, p: Values) -> Floats:
    lanes = ops["batch"] * ops["heads"]
    waves = lanes / machine.sms
    waves = np.maximum(1.0, waves + p["whole"] * (np.ceil(waves) - waves))
    moved = traffic_bytes(ops)
    miss = miss_share(moved, p["l2_share"] * machine.l2_bytes, p["l2_sharp"])
    memory_s = moved * (miss / p["hbm_eff"] + 1.0 / p["l2_speed"]) / machine.bytes_per_s
    filled = np.minimum(1.0, waves)
    compute_s = flops / (machine.peak("bf16") * p["peak"]) / filled
    compute_s = compute_s + waves * p["head_us"] * 1e-6
    start_us = p["launch_us"] + p["wide_us"] * np.log2(np.minimum(machine.sms, lanes))
    total: Floats = soft_max(compute_s, memory_s, p["power"]) + start_us * 1e-6
    return total


def decode_seconds(ops: OpTable, machine: Machine, schedule: str, p: Values) -> Floats:
    """Return the time of each decode call, float64[n]."""
    return _busy_s(ops, machine, decode_flops(ops), p)


def prefill_seconds(ops: OpTable, machine: Machine, schedule: str, p: Values) -> Floats:
    """Return the time of each prefill call, float64[n]."""
    chunks = np.ceil(ops["q_len"] / CHUNK)
    lanes = np.maximum(1.0, ops["batch"] * ops["heads"] / machine.sms)
    after_us = p["chunk_us"] * chunks * lanes
    after_us = after_us + p["some_us"] * np.log2(ops["batch"] * ops["q_len"] + 1.0)
    total: Floats = _busy_s(ops, machine, prefill_flops(ops), p) + after_us * 1e-6
    return total


def coordinates(ops: OpTable) -> Mapping[str, Floats]:
    """Return log2 of heads over the batch, tokens of a sequence, heads, and all tokens."""
    lanes = np.log2(ops["batch"] * ops["heads"])
    length = np.log2(np.maximum(ops["q_len"], 1.0))
    heads = np.log2(ops["heads"])
    return {"lanes": lanes, "length": length, "heads": heads, "work": lanes + length}


RECURRENT_DECODE = Kernel("mamba_decode", ("states",), _SHARED, decode_seconds, coordinates)
RECURRENT_PREFILL = Kernel(
    "mamba_prefill", ("chunks",), PREFILL_PARAMETERS, prefill_seconds, coordinates
)
