"""FlashInfer's decode, as vLLM runs it over 8-bit caches: what heads cost and share.

From its sources (Apache-2.0), ``include/flashinfer``: query heads of a KV head are packed into
tiles of 16 rows, or of 64 where they are more (``FA2DetermineCtaTileQ``); kernels are built for two
CTAs an SM; the grid (``BatchPrefillWithPagedKVCacheDispatched``) goes through the batch KV head by
KV head. So where a line of memory holds keys of two heads, the second asks for it a batch later.
"""

from __future__ import annotations

import numpy as np

from tierlab.hwmodels.time.silicon.kernel import Floats, miss_share, reach
from tierlab.kernels.ops.table import DTYPE_BYTES, OpTable

MARK = "flashinfer_fidecode"
"""In the name of a kernel that decodes so."""
ROWS = 16.0
"""Query heads up to which a tile is small."""
CTAS = 2.0
_LINE = 128.0


def large(group: Floats) -> Floats:
    """Return 1 where a tile has 64 rows and 0 where it has 16, float64[n]."""
    return (group > ROWS).astype(np.float64)


def fetched(ops: OpTable, ctas: Floats, sms: float, l2_bytes: float, sharp: float) -> Floats:
    """Return how often a line that misses L2 is fetched, float64[n].

    Once for each of its heads where these follow each other and what lies between overflows L2;
    heads that find room beside the first are served together.

    Parameters
    ----------
    ctas
        Of the call, float64[n].
    sms, l2_bytes, sharp
        SMs; what a cache may fill, and how sharply it overflows (`miss_share`).
    """
    row = ops["head_dim"] * DTYPE_BYTES[ops.kv_dtype]
    heads = np.clip(np.floor(_LINE / row), 1.0, ops["kv_heads"])
    between = 2.0 * ops["batch"] * reach(ops)[0] * row * heads
    beside = np.clip(CTAS * sms * ops["kv_heads"] / ctas - 1.0, 0.0, 1.0)
    again = miss_share(between, l2_bytes, sharp) * (1.0 - beside)
    times: Floats = 1.0 + (heads - 1.0) * again
    return times
