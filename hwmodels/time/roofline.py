"""The datasheet roofline: a peak, a bandwidth, and efficiencies that one other GPU taught.

``seconds = max(flops / (peak e_compute), bytes / (bandwidth e_memory)) + fixed`` (Williams et
al., CACM 52(4), 2009, with efficiencies and a fixed cost). A collective runs at its bus traffic
over the peer link: ``2 (n - 1) / n`` payloads for a ring all-reduce (NCCL's bus bandwidth).

The source is `datasheet`: every figure of the device is from its datasheet; the constants come
from public H200 silicon alone, so on an H200 the residuals are in-sample. How far off it is on
other GPUs is in docs/results/roofline_bands.md, and the bands say it: they are not narrow.

Peaks fall back where a device lacks a dtype: bf16 to fp16, fp8 and 4 bit to bf16 (weights are
stored narrow and widened before the arithmetic). Attention never gets a narrow peak: with an fp8
KV cache, measured H200 prefill is slower than with bf16, not faster.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.device import Gpu
from tierlab.hwmodels.link import Link
from tierlab.hwmodels.time.constants import (
    COLLECTIVES,
    NARROW,
    STRATA_S,
    Constants,
    class_of,
    shipped_constants,
)
from tierlab.hwmodels.time.times import DATASHEET, Times
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.ops.registry import OPERATIONS
from tierlab.kernels.ops.table import DTYPES, OPS, OpTable

Floats = NDArray[np.float64]
Formula = Callable[[OpTable], tuple[Floats, Floats]]

FALLBACKS: Mapping[str, tuple[str, ...]] = {
    "none": ("fp32",),
    "fp32": ("fp32",),
    "bf16": ("bf16", "fp16", "fp32"),
    "fp16": ("fp16", "bf16", "fp32"),
    "fp8": ("fp8", "bf16", "fp16", "fp32"),
    "int8": ("int8", "bf16", "fp16", "fp32"),
    "fp4": ("fp4", "bf16", "fp16", "fp32"),
    "int4": ("bf16", "fp16", "fp32"),
}
"""Arithmetic asked for -> what is used, the first that the device has."""
_ATTENTION = ("prefill_attention", "decode_attention", "prefill_attention_backward")
_COLLECTIVE = np.array([op in COLLECTIVES for op in OPS])


@dataclass(frozen=True)
class RooflineDevice:
    """What the roofline needs to know of a device.

    Attributes
    ----------
    name
        For reports.
    bytes_per_s
        Memory bandwidth of the datasheet.
    flop_per_s
        Dense peaks by dtype.
    peer_bytes_per_s
        One direction of the link to the other members of a collective; None without one.
    l2_bytes
        What a cache may serve instead of the memory; 0 where unknown.
    """

    name: str
    bytes_per_s: float
    flop_per_s: Mapping[str, float] = field(hash=False)
    peer_bytes_per_s: float | None = None
    l2_bytes: float = 0.0


def roofline_device(gpu: Gpu, peer_link: Link | None = None) -> RooflineDevice:
    """Take the roofline's figures from a GPU and the link to its peers.

    The link counts with its raw rate, as NCCL's efficiency is stated against it.
    """
    peer = peer_link.raw_bytes_per_s if peer_link else None
    rate = gpu.memory_bandwidth_bytes_per_s
    return RooflineDevice(gpu.name, rate, gpu.peak_flop_per_s, peer, gpu.l2_bytes)


class Roofline:
    """The datasheet time model of one device.

    Parameters
    ----------
    device
        Its figures.
    constants
        Efficiencies and bands by class; absent, those that ship.

    Raises
    ------
    BadInput
        The device states no peak that any fallback accepts.
    """

    def __init__(self, device: RooflineDevice, constants: Constants | None = None) -> None:
        self._device = device
        columns = _shipped_columns(device) if constants is None else _columns(device, constants)
        self._s_per_flop, self._s_per_byte, self._fixed_s = columns[:3]
        self._flops_max, self._bytes_max = columns[3:5]
        self._p10, self._p90 = columns[5:8].T.ravel(), columns[8:11].T.ravel()
        self._least_s_per_flop, self._least_s_per_byte = columns[11:]

    @property
    def name(self) -> str:
        """Device and model."""
        return f"{self._device.name}, datasheet roofline"

    def predict(self, ops: OpTable) -> Times:
        """Return the durations of `ops`, vectorised.

        Raises
        ------
        BadInput
            A collective, and the device has no link to peers.
        """
        self._refuse_lonely(ops)
        code = _code(ops)
        flops, moved = _work(ops)
        busy = np.maximum(flops * self._s_per_flop[code], moved * self._s_per_byte[code])
        seconds = busy + self._fixed_s[code]
        cell = 3 * code + (seconds > STRATA_S[0]) + (seconds > STRATA_S[1])
        beyond = (flops > self._flops_max[code]) | (moved > self._bytes_max[code])
        return Times(
            seconds,
            np.clip(seconds * self._p10[cell], self._least_s(code, flops, moved), seconds),
            seconds * self._p90[cell],
            np.full(len(code), DATASHEET, np.uint8),
            beyond,
            ops.op.astype(np.int32),
        )

    def least_s(self, ops: OpTable) -> Floats:
        """Return what no kernel beats, s, float64[n]: see `_least_s`."""
        return self._least_s(_code(ops), *_work(ops))

    def _least_s(self, code: NDArray[np.intp], flops: Floats, moved: Floats) -> Floats:
        """Return what no kernel beats: the peak, and the bandwidth for all but one L2's bytes.

        Bands come from other GPUs, where a kernel may be nearer to its limit: without this floor
        p10 can promise more than the datasheet's peak.
        """
        beyond_l2 = np.maximum(moved - self._device.l2_bytes, 0.0)
        least: Floats = np.maximum(
            flops * self._least_s_per_flop[code], beyond_l2 * self._least_s_per_byte[code]
        )
        return least

    def _refuse_lonely(self, ops: OpTable) -> None:
        if self._device.peer_bytes_per_s is None and _COLLECTIVE[ops.op].any():
            raise BadInput(
                self._device.name,
                "has no peer link, so a collective has nothing to run over",
                "a device or system with a peer link, or one device",
            )


def _columns(device: RooflineDevice, constants: Constants) -> Floats:
    cells = [_cell(device, constants, *key) for key in product(OPS, DTYPES, DTYPES)]
    return np.array(cells).T


@lru_cache(maxsize=64)
def _shipped_columns(device: RooflineDevice) -> Floats:
    """Return the columns of a device that the points of a sweep ask for again."""
    return _columns(device, shipped_constants())


def _cell(
    device: RooflineDevice, constants: Constants, op: str, dtype: str, stored: str
) -> tuple[float, ...]:
    widened = op in _ATTENTION and dtype in NARROW
    arithmetic = _arithmetic(device, "bf16" if widened else dtype)
    kept = dtype if stored == "none" else stored
    known = constants[class_of(op, arithmetic, kept)]
    rate = device.bytes_per_s
    if op in COLLECTIVES:
        rate = device.peer_bytes_per_s or np.inf
    limits = (known.flops_max, known.bytes_max) if known.measured else (-1.0, -1.0)
    return (
        1.0 / (device.flop_per_s[arithmetic] * known.e_compute),
        1.0 / (rate * known.e_memory),
        known.fixed_s,
        *limits,
        *known.p10,
        *known.p90,
        1.0 / device.flop_per_s[arithmetic],
        1.0 / rate,
    )


def _arithmetic(device: RooflineDevice, dtype: str) -> str:
    for candidate in FALLBACKS[dtype]:
        if candidate in device.flop_per_s:
            return candidate
    raise BadInput(device.name, f"states no peak for {dtype}", ", ".join(FALLBACKS[dtype]))


def _formula(op: str) -> Formula:
    """Return what gives FLOPs and bytes moved (over memory; of a collective, over the link)."""
    if op in COLLECTIVES:
        return lambda ops: (np.zeros(len(ops)), bus_bytes(op, ops))
    flops, moved = OPERATIONS[op].flops, OPERATIONS[op].bytes
    return lambda ops: (flops(ops), moved(ops))


def _families() -> tuple[list[Formula], NDArray[np.intp]]:
    """Return the distinct formulas, and which one each operation has.

    Operations that share their formulas are evaluated together: on a few rows, the number of
    array passes is the cost.
    """
    keys = [op if op in COLLECTIVES else (OPERATIONS[op].flops, OPERATIONS[op].bytes) for op in OPS]
    first = [keys.index(key) for key in keys]
    distinct = sorted(set(first))
    return [_formula(OPS[i]) for i in distinct], np.array([distinct.index(i) for i in first])


_FORMULAS, _FAMILY = _families()


def _code(ops: OpTable) -> NDArray[np.intp]:
    """Return the number of each row's operation and dtypes, int[n]."""
    code: NDArray[np.intp] = ops.op.astype(np.intp) * len(DTYPES) + ops.dtype
    return code * len(DTYPES) + ops.kv_dtype


def _work(ops: OpTable) -> tuple[Floats, Floats]:
    family = _FAMILY[ops.op]
    present = np.flatnonzero(np.bincount(family, minlength=len(_FORMULAS)))
    if len(present) == 1:
        return _FORMULAS[int(present[0])](ops)
    flops, moved = np.zeros(len(ops)), np.zeros(len(ops))
    for which in present:
        rows = np.flatnonzero(family == which)
        flops[rows], moved[rows] = _FORMULAS[which](ops.take(rows))
    return flops, moved


def bus_bytes(op: str, ops: OpTable) -> Floats:
    """Return the bytes that one device sends in a ring, float64[n].

    With a payload b of one device among n: all-reduce 2 b (n - 1) / n, all-gather b (n - 1),
    reduce-scatter and all-to-all b (n - 1) / n (NCCL tests, doc/PERFORMANCE.md).
    """
    devices = np.maximum(ops["devices"], 1.0)
    hops = ops["bytes"] * (devices - 1.0)
    if op == "all_gather":
        return hops
    return hops / devices * (2.0 if op == "all_reduce" else 1.0)
