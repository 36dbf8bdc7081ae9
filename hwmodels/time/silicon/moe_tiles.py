"""Tiles of grouped products: which height and width a kernel takes for a batch.

vLLM's Triton kernel takes them from files tuned for (experts, inner width, device, dtype) where
there is one, and otherwise from `get_default_config` by the tokens of the batch (``fused_moe.py``,
0.24.0; in 0.14.0 by whether they are more than the experts). Its Marlin kernel takes the least
height that holds nine tenths of an expert's rows (``marlin_moe.py``). ``moe_tiles.json`` holds
heights and widths of the tuned files alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.silicon.kernel import Floats
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.moe_layer import ALIGNED
from tierlab.hwmodels.time.silicon.places import Places
from tierlab.kernels.ops.dealing import tiles_filled
from tierlab.kernels.ops.table import OpTable

Ints = NDArray[np.int64]
WIDTH = 128.0
HEIGHTS = (16.0, 32.0, 64.0, 128.0)
"""Of a kernel that is not known."""
ROWS = ((16.0, 16.0), (32.0, 32.0), (64.0, 64.0), (np.inf, 128.0))
"""Rows of a visited expert up to which one of them serves."""
TRITON = ((32.0, 16.0), (96.0, 32.0), (512.0, 64.0), (np.inf, 128.0))
"""Tokens up to which a height serves."""
BLOCKED = ((64.0, 16.0), (np.inf, 64.0))
"""As `TRITON`, of fp8 weights scaled by blocks."""
MARLIN = ((7.2, 8.0), (14.4, 16.0), (28.8, 32.0), (43.2, 48.0), (np.inf, 64.0))
"""Rows that an expert gets in the mean, of all experts, up to which a height serves."""
TRTLLM = ((8.0, 8.0), *ROWS[:-1], (np.inf, 128.0))
"""As `MARLIN`, of TensorRT-LLM's kernels: the next power of 2 (``calculate_tile_tokens_dim``)."""
LEAST = ((16.0, 8.0), (32.0, 16.0), (64.0, 32.0), (128.0, 64.0), (np.inf, 128.0))
"""Half of that, if 8 or more: the least of the heights that are offered, which untuned kernels take
(flashinfer-ai/flashinfer, ``trtllm_fused_moe_kernel_launcher.cu``, ``computeSelectedTileN``)."""
WIDE = 256.0
"""Of OpenAI's Triton kernel for 4-bit floats, whose heights are `ROWS` by the mean, rounded down
(``triton_kernels/matmul_ogs_details/opt_flags.py``)."""
NARROW = 64.0
"""Tokens up to which Triton's default is so wide, and no wider."""
TUNED = {"triton": "bf16", "triton14": "bf16", "blocked": "fp8 by blocks"}
"""Schedule -> which of the tuned files it reads."""
MARKS = {
    "triton14": "vllm_fused_moe",
    "trtllm_nvfp4": "nvfp4moe_flashinfer_trtllm",
    "trtllm_mxfp8": "mxfp4_mxfp8",
}
"""Schedule -> what its kernels are called; it is tried for no others."""
FAMILIES = {
    "triton": "tritonexperts",
    "blocked": "tritonexperts",
    "marlin": "marlin",
    "marlin_whole": "marlin",
    "trtllm": "trtllm",
    "trtllm_least": "trtllm",
    "swizzled": "oaitriton",
    ALIGNED: "cutlass",
    "layer": "cutlass",
}
"""Schedule -> what its kernels' names hold; where a name tells nothing, all are tried."""
FEW, MANY = (16.0, 32.0), (64.0, 64.0)
"""Height and width by vLLM 0.14, of no more tokens than experts and of more."""
BY_MEAN = {
    "marlin": MARLIN,
    "marlin_whole": MARLIN,
    "trtllm": TRTLLM,
    "trtllm_least": LEAST,
    "trtllm_nvfp4": LEAST,
    "trtllm_mxfp8": LEAST,
    "swizzled": ROWS,
}
"""Schedule -> heights by the rows that an expert gets in the mean."""
UNTUNED = ("trtllm_least", "trtllm_nvfp4", "trtllm_mxfp8")
"""Schedules of the least height, which pass tokens once more before the first product."""
VLLM = (*TUNED, *BY_MEAN)
"""Schedules whose tiles are known."""
_BITS = 24


class Tiles(NamedTuple):
    """Height and width of each row's tiles, float64[n]."""

    height: Floats
    width: Floats


def tiles(ops: OpTable, machine: Machine, schedule: str, rows: Floats, inner: Floats) -> Tiles:
    """Return the tiles of each call.

    Parameters
    ----------
    ops, machine, schedule
        As a kernel model's.
    rows
        float64[n], of one expert that is visited.
    inner
        float64[n], width of the experts' inner layer.
    """
    if schedule in TUNED:
        found = _default(ops, schedule)
        tuned = tuned_tiles(machine.name).get(TUNED[schedule])
        return found if tuned is None else tuned.over(ops, inner, found)
    wide = np.full(len(ops), WIDTH)
    if schedule in BY_MEAN:
        mean = ops["m"] * ops["top_k"] / np.maximum(ops["experts"], 1.0)
        if schedule == "swizzled":
            return Tiles(_first(np.floor(mean), ROWS), np.full(len(ops), WIDE))
        return Tiles(_first(mean, BY_MEAN[schedule]), wide)
    if schedule == ALIGNED:
        return Tiles(wide, wide)
    return Tiles(_first(rows, ROWS), wide)


def _default(ops: OpTable, schedule: str) -> Tiles:
    """Return what serves where nothing was tuned."""
    tokens = ops["m"]
    if schedule == "triton14":
        few = tokens <= ops["experts"]
        return Tiles(*(np.where(few, small, large) for small, large in zip(FEW, MANY, strict=True)))
    known = TRITON if schedule == "triton" else BLOCKED
    narrow = (tokens <= NARROW) & (schedule == "triton")
    return Tiles(_first(tokens, known), np.where(narrow, NARROW, WIDTH))


def high(ops: OpTable, rows: Floats, read: Floats, height: Floats) -> Floats:
    """Return the tiles of an expert that is read, in the mean, float64[n].

    Parameters
    ----------
    ops
        The products.
    rows, read
        Rows of an expert that is read, and how many are.
    height
        Of a tile.
    """
    even: Floats = np.ceil(rows / height)
    if not ops["routing"].any():
        return even
    filled = tiles_filled(ops["m"], ops["experts"], ops["top_k"], ops["routing"], height, read)
    return np.where(ops["routing"] > 0.0, filled / read, even)


def _first(values: Floats, steps: tuple[tuple[float, float], ...]) -> Floats:
    edges = np.array([most for most, _ in steps[:-1]])
    found: Floats = np.array([height for _, height in steps])[np.searchsorted(edges, values)]
    return found


class Tuned:
    """Tiles of one device and dtype by experts, inner width and tokens.

    Parameters
    ----------
    entries
        "experts width" -> "16x64<=8 64x128": heights and widths, and the tokens they serve.
    """

    def __init__(self, entries: Mapping[str, str]) -> None:
        pairs = {tuple(map(int, key.split())): text for key, text in entries.items()}
        self._entries = {(e << _BITS) + n: text.split() for (e, n), text in pairs.items()}

    @cached_property
    def _places(self) -> Places:
        return Places(sorted(self._entries))

    @cached_property
    def _steps(self) -> tuple[Ints, Floats]:
        """Return (entry, most tokens) as one sorted number each, and [steps, 2] sizes."""
        places, sizes = [], []
        for i, key in enumerate(sorted(self._entries)):
            for part in self._entries[key]:
                size, _, most = part.partition("<=")
                places.append((i << _BITS) + (int(most) if most else (1 << _BITS) - 1))
                sizes.append([float(x) for x in size.split("x")])
        return np.array(places, np.int64), np.array(sizes)

    def entry(self, experts: Floats, width: Floats) -> Ints:
        """Return the place of each row's file, -1 where there is none, int64[n]."""
        asked = (experts.astype(np.int64) << _BITS) + width.astype(np.int64)
        return self._places(asked)

    def over(self, ops: OpTable, inner: Floats, default: Tiles) -> Tiles:
        """Return `default` with the rows replaced for which there is a file."""
        entry = self.entry(ops["experts"], inner)
        rows = np.flatnonzero(entry >= 0)
        if not len(rows):
            return default
        places, sizes = self._steps
        tokens = np.minimum(ops["m"][rows], (1 << _BITS) - 1).astype(np.int64)
        step = sizes[np.searchsorted(places, (entry[rows] << _BITS) + tokens)]
        height, width = default.height.copy(), default.width.copy()
        height[rows], width[rows] = step[:, 0], step[:, 1]
        return Tiles(height, width)


@lru_cache(maxsize=8)
def tuned_tiles(device: str) -> Mapping[str, Tuned]:
    """Return what was tuned for a device of the catalogue, by dtype."""
    text = Path(__file__).with_suffix(".json").read_text(encoding="utf-8")
    return {kind: Tuned(found) for kind, found in json.loads(text)["tiles"].get(device, {}).items()}
