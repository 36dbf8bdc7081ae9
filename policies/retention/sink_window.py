"""Sinks and a window: the first tokens and the last ones stay, what is between is dropped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.ops.table import Work
from tierlab.policies.passes import HALF, Passes
from tierlab.policies.protocol import AttentionCall, Declares, KvShape, Statistics, Tokens
from tierlab.policies.ranges import check_count
from tierlab.policies.retention.windows import within_windows


@dataclass(frozen=True)
class SinkWindow:
    """StreamingLLM: keep `sinks` first and `recent` last tokens (Xiao et al., arXiv 2309.17453).

    Tokens leave at every step, so a step holds at most ``sinks + recent``. Keys are stored before
    the rotary embedding and turned anew at their place inside the cache at each step
    (streaming_llm/kv_cache.py, pos_shift), which reads and writes them once more.

    Attributes
    ----------
    sinks, recent
        ``start_size`` and ``recent_size`` of StartRecentKVCache: 4 and 512.
    """

    sinks: int = 4
    recent: int = 512

    axis: ClassVar[str] = "retention"
    name: ClassVar[str] = "sink-window"
    paper: ClassVar[str] = "StreamingLLM, arXiv 2309.17453"
    declares: ClassVar[Declares] = Declares(drops_at=("step",))

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_count("sinks", self.sinks)
        check_count("recent", self.recent, 1)

    def footprint(self, shape: KvShape) -> Tokens:
        """Return min(tokens, sinks + recent), int64 like ``shape.tokens``."""
        return within_windows(shape, np.minimum(shape.tokens, self.sinks + self.recent))

    def operations(self, call: AttentionCall) -> Work:
        """Turn the kept keys at their new places: each read and written once a decode step."""
        passes = Passes(call, np.full(call.batch.shape, not call.prefill))
        kept = np.minimum(passes.pick(call.keys), self.sinks + self.recent)
        passes.move(2 * HALF * passes.pick(call.batch) * kept * call.kv_heads * call.head_dim)
        return passes.work()

    def statistics(self, source: Mapping[str, object]) -> Statistics:
        """Return the attention mass that stays: it depends on the text."""
        return Statistics(0.85, 0.5, 1.0, "assumption (2026-11-21): not measured here")

    def decide(self, keys: NDArray[np.floating], scores: NDArray[np.floating] | None) -> Tokens:
        """Return the first `sinks` and the last `recent` positions, int64[heads, kept]."""
        heads, tokens = keys.shape[:2]
        everywhere = np.arange(tokens, dtype=np.int64)
        recent = everywhere[max(tokens - self.recent, 0) :]
        chosen = np.union1d(everywhere[: self.sinks], recent).astype(np.int64)
        return np.broadcast_to(chosen, (heads, len(chosen))).copy()
