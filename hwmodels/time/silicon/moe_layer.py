"""Which layer of routed experts a product is of.

Public tables time layers: a product into the experts' inner layer, twice as wide where there is a
gate, what stands between, and one out of it. A row of `grouped_gemm` is either; its sizes and the
models that are known tell which.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.silicon.kernel import Floats
from tierlab.hwmodels.time.silicon.places import Places
from tierlab.kernels.ops.table import DTYPE_BYTES, DTYPES, OpTable

WIDTHS: dict[tuple[int, int], tuple[int, ...]] = {
    (8, 2): (4096, 6144),
    (16, 1): (5120,),
    (32, 4): (2880,),
    (128, 1): (5120,),
    (128, 4): (2880, 3072, 6144),
    (128, 6): (2688,),
    (128, 8): (2048, 2816, 4096),
    (160, 8): (6144,),
    (256, 6): (4096,),
    (256, 8): (2048, 3072, 4096, 6144, 7168),
    (384, 6): (7168,),
    (384, 8): (7168,),
    (512, 10): (4096,),
    (512, 22): (1024, 2048),
    (896, 16): (3584,),
}
"""(experts, top-k) -> widths of the models that have them: those of the public tables
(aiconfigurator-core 0.12.0)."""
UNGATED = ((128, 6), (512, 22))
"""(experts, top-k) of Nemotron 3: squared ReLU, no gate."""
WHOLE = {
    "layer": (64.0, 1.0),
    "swizzled": (128.0, 1.0),
    "marlin_whole": (128.0, 256.0),
    "trtllm": (256.0, 256.0),
    "trtllm_least": (256.0, 256.0),
    "trtllm_nvfp4": (16.0, 256.0),
    "trtllm_mxfp8": (256.0, 256.0),
}
"""Schedule -> what inner and outer widths of MXFP4 weights are made multiples of (vLLM 0.24.0,
``fused_moe/oracle/mxfp4.py``). ``swizzled``: OpenAI's Triton kernel reads whole tiles, 256 wide of
gate and other half, 128 deep; H200's 16,384 tokens take 614, 856, 1,085 and 1,798 us with inner
widths of 90, 180, 360 and 720, on one line by 128, 256, 384 and 768.
NVFP4: ``quantization/utils/flashinfer_fp4_moe.py`` and its ``flashinfer_utils.py``."""
UNGATED_WHOLE = {"trtllm_nvfp4": 128.0}
"""The same of inner widths without a gate, where it differs."""
ALONE = ("padded", "packed")
"""Schedules of a product that runs by itself."""
ALIGNED = "aligned"
"""CUTLASS's schedule."""
NARROWER = 1.25
"""A product whose sizes do not tell leads inward where it is at most so much wider than deep."""


class Layer(NamedTuple):
    """A layer, and one product's part in it, all float64[n].

    Attributes
    ----------
    outer, inner
        Widths of the model and of one expert's inner layer.
    gates
        1 where a gate doubles the product that leads inward, else 0.
    share
        Of the layer's time, by work.
    """

    outer: Floats
    inner: Floats
    gates: Floats
    share: Floats


def layer(ops: OpTable) -> Layer:
    """Return the layer of each product."""
    n, k = ops["n"], ops["k"]
    into, gates = inward(ops), gated(ops["experts"], ops["top_k"])
    outer = np.where(into, k, n)
    inner = np.where(into, n / (1.0 + gates), k)
    return Layer(outer, inner, gates, (1.0 + gates * into) / (2.0 + gates))


def padded(of: Layer, ops: OpTable, schedule: str) -> Layer:
    """Return layers as vLLM stores them: 4-bit floats in whole tiles of a kernel's."""
    rows = ops.kv_dtype == DTYPES.index("fp4")
    if schedule not in WHOLE or not rows.any():
        return of
    inner, outer = WHOLE[schedule]
    least = np.where(of.gates > 0.0, inner, UNGATED_WHOLE.get(schedule, inner))
    wide = np.where(rows, np.ceil(of.outer / outer) * outer, of.outer)
    return Layer(wide, np.where(rows, np.ceil(of.inner / least) * least, of.inner), *of[2:])


def gated(experts: Floats, top_k: Floats) -> Floats:
    """Return 0 for experts that have no gate, 1 for the others, float64[n]."""
    alike = [(experts == e) & (top_k == k) for e, k in UNGATED]
    found: Floats = np.where(np.any(alike, axis=0), 0.0, 1.0)
    return found


def inward(ops: OpTable) -> NDArray[np.bool_]:
    """Say which products lead into the experts, bool[n]: by the model's width where it is known."""
    n, k = ops["n"], ops["k"]
    start = ((ops["experts"] * 1024.0 + np.floor(ops["top_k"])) * 2.0**_BITS).astype(np.int64)
    from_model, to_model = (_KNOWN(start + x.astype(np.int64)) >= 0 for x in (k, n))
    found: NDArray[np.bool_] = np.where(from_model != to_model, from_model, n <= NARROWER * k)
    return found


def uneven(of: Layer, ops: OpTable, schedule: str) -> NDArray[np.bool_]:
    """Say where rows are in no multiple of 16 elements, of CUTLASS 16 bytes: loads are narrower.

    Triton widens loads where strides divide by 16 (its specialisation of arguments), CUTLASS's
    copies ask for rows of whole 16 bytes. 704 / 8 in bf16, 88, is uneven to the one alone.
    """
    whole = 16.0 / DTYPE_BYTES[ops.dtype] if schedule == ALIGNED else 16.0
    odd = [np.floor(wide / whole) * whole != wide for wide in (of.inner, of.outer)]
    found: NDArray[np.bool_] = odd[0] | odd[1]
    return found


def layer_of(ops: OpTable, schedule: str) -> Layer:
    """Return the layer whose time is shared out, or the product itself where it runs alone."""
    if schedule not in ALONE:
        return padded(layer(ops), ops, schedule)
    return Layer(ops["k"], ops["n"], np.zeros(len(ops)), np.ones(len(ops)))


_BITS = 24
_KNOWN = Places([((e << 10) + k << _BITS) + w for (e, k), widths in WIDTHS.items() for w in widths])
