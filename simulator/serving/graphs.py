"""CUDA graphs: which batches run as a recorded graph, and to which size they are padded.

The rules are vLLM 0.19's (``vllm/config/vllm.py`` `_set_cudagraph_sizes`,
``vllm/v1/cudagraph_dispatcher.py``, ``docs/design/cuda_graphs.md``): a batch of at most the largest
captured size is padded to the next captured one; a larger one runs eagerly. A mode says what is
recorded for batches of decodes alone, and for all others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.scenario.schema import EngineSection

Ints = NDArray[np.int64]

EAGER, PIECEWISE, FULL = range(3)
REGIMES = ("eager", "piecewise", "full")
"""Every kernel is launched; all but attention is recorded, in pieces; the whole step is."""
MODES = {
    "none": (EAGER, EAGER),
    "piecewise": (PIECEWISE, PIECEWISE),
    "full": (FULL, FULL),
    "full_decode_only": (FULL, EAGER),
    "full_and_piecewise": (FULL, PIECEWISE),
}
"""Mode -> regime of decodes alone, and of all other batches."""
MOST = 512
"""vLLM's own limit: graphs of more tokens take long to record and save little."""


@dataclass(frozen=True)
class CudaGraphs:
    """What is recorded.

    Attributes
    ----------
    mode
        One of `MODES`.
    sizes
        Captured token counts, ascending.
    """

    mode: str
    sizes: tuple[int, ...]

    def regime(self, tokens: ArrayLike, decodes_only: bool) -> Ints:
        """Return the regime of batches of so many tokens, as places in `REGIMES`."""
        most = self.sizes[-1] if self.sizes else 0
        wanted = MODES[self.mode][0 if decodes_only else 1]
        return np.where(np.asarray(tokens, np.int64) <= most, wanted, EAGER)

    def padded(self, tokens: ArrayLike, decodes_only: bool) -> Ints:
        """Return the tokens that batches are computed as; a batch of none stays one of none."""
        counts = np.asarray(tokens, np.int64)
        if not self.sizes:
            return counts
        sizes = np.array(self.sizes, np.int64)
        place = np.minimum(np.searchsorted(sizes, counts), len(sizes) - 1)
        recorded = (self.regime(counts, decodes_only) != EAGER) & (counts > 0)
        return np.where(recorded, sizes[place], counts)


NO_GRAPHS = CudaGraphs("none", ())


def cuda_graphs(engine: EngineSection) -> CudaGraphs:
    """Return what an engine records.

    Raises
    ------
    BadInput
        Sizes are given that vLLM would refuse.
    """
    if engine.cudagraph_mode == "none":
        return NO_GRAPHS
    return CudaGraphs(engine.cudagraph_mode, _sizes(engine))


def _sizes(engine: EngineSection) -> tuple[int, ...]:
    given, most = engine.cudagraph_capture_sizes, engine.max_cudagraph_capture_size
    budget = engine.max_num_batched_tokens
    if given is not None:
        return _given(given, most, budget)
    top = min(2 * engine.max_num_seqs, MOST) if most is None else most
    return default_sizes(min(top, budget))


def default_sizes(most: int) -> tuple[int, ...]:
    """Return 1, 2, 4, multiples of 8 below 256 and of 16 from there, up to `most`."""
    sizes = (1, 2, 4, *range(8, 256, 8), *range(256, most + 1, 16))
    return tuple(size for size in sizes if size <= most)


def _given(sizes: list[int], most: int | None, budget: int) -> tuple[int, ...]:
    where = "engine.cudagraph_capture_sizes"
    if not sizes or min(sizes) < 1:
        raise BadInput(where, repr(sizes), "token counts from 1, at least one")
    kept = tuple(sorted({size for size in sizes if size <= budget}))
    if not kept:
        raise BadInput(where, f"{sizes} are all above the token budget", f"at most {budget}")
    if most is not None and kept[-1] != most:
        what = f"its largest is {kept[-1]}, but max_cudagraph_capture_size is {most}"
        raise BadInput(where, what, "only one of the two, or the same")
    return kept
