"""Heavy hitters: tokens that drew most attention so far stay, with the most recent ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.ops.table import Work
from tierlab.policies.passes import HALF, Passes
from tierlab.policies.protocol import AttentionCall, Declares, KvShape, Statistics, Tokens
from tierlab.policies.ranges import check_count, check_share
from tierlab.policies.retention.ranking import best_and_recent
from tierlab.policies.retention.windows import within_windows


@dataclass(frozen=True)
class H2O:
    """H2O: a budget of heavy hitters and one of recent tokens (Zhang et al., arXiv 2306.14048).

    Attention is summed per token and head, over the queries of the prompt and then at each step;
    a new token takes the place of the one with the least sum outside the recent ones. So the
    cache has a fixed size from the end of the prompt on. Not in `footprint`: the sums themselves,
    2 bytes a token and query head, ``1 / (2 head_dim)`` of the KV with as many KV heads.

    Attributes
    ----------
    heavy_ratio, recent_ratio
        Budgets as shares of the prompt, rounded down: 0.1 each in h2o_hf's run_text_generation.py.
    heavy, recent
        Budgets in tokens (h2o_hf's real_drop: 4 and 512); where given, they count instead.
    fused
        Attention is a fused kernel, and the scores take a pass of their own. False: attention is
        not fused and has written them anyway (h2o_flexgen), so that only the sums are added.
    """

    heavy_ratio: float = 0.1
    recent_ratio: float = 0.1
    heavy: int | None = None
    recent: int | None = None
    fused: bool = True

    axis: ClassVar[str] = "retention"
    name: ClassVar[str] = "h2o"
    paper: ClassVar[str] = "H2O, arXiv 2306.14048"
    declares: ClassVar[Declares] = Declares(
        reusable=False, needs_scores=True, extra_pass=True, drops_at=("prefill", "step")
    )

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_share("heavy_ratio", self.heavy_ratio)
        check_share("recent_ratio", self.recent_ratio)
        for name in ("heavy", "recent"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name))

    def budgets(self, prompt: Tokens) -> tuple[Tokens, Tokens]:
        """Return heavy and recent tokens for prompts of so many, int64 like `prompt`."""
        return (
            _budget(prompt, self.heavy, self.heavy_ratio),
            _budget(prompt, self.recent, self.recent_ratio),
        )

    def footprint(self, shape: KvShape) -> Tokens:
        """Return min(tokens, heavy + recent), at least 1, int64 like ``shape.tokens``."""
        heavy, recent = self.budgets(shape.prompt_tokens)
        return within_windows(shape, np.minimum(shape.tokens, np.maximum(heavy + recent, 1)))

    def operations(self, call: AttentionCall) -> Work:
        """Scores where a fused kernel hides them, their softmax and sums, and the dropping."""
        return self._prefill(call) if call.prefill else self._decode(call)

    def _prefill(self, call: AttentionCall) -> Work:
        """Score all pairs, normalise (in and out), sum over queries (in); keep what stays."""
        passes = Passes(call)
        queries, keys = passes.pick(call.queries), passes.pick(call.keys)
        matrix = HALF * passes.pick(call.batch) * call.heads * queries * keys
        if self.fused:
            passes.scores(queries, keys)
            passes.move(2 * matrix)
        passes.move(matrix)
        heavy, recent = self.budgets(call.keys)
        kept = passes.pick(heavy + recent) * passes.pick(call.ends_prompt)
        passes.move(2 * HALF * passes.pick(call.batch) * np.minimum(kept, keys) * call.elements)
        return passes.work()

    def _decode(self, call: AttentionCall) -> Work:
        """Score the kept keys, normalise; add to the sums (in, in, out) and find the least."""
        passes = Passes(call)
        keys = passes.pick(call.keys)
        row = HALF * passes.pick(call.batch) * call.heads * keys
        if self.fused:
            passes.scores(np.ones_like(keys), keys)
            passes.move(2 * row)
        passes.move(3 * row)
        passes.move(row)
        return passes.work()

    def statistics(self, source: Mapping[str, object]) -> Statistics:
        """Return the attention mass that stays: it depends on the text."""
        return Statistics(0.9, 0.7, 1.0, "assumption (2026-11-21): not measured here")

    def decide(self, keys: NDArray[np.floating], scores: NDArray[np.floating] | None) -> Tokens:
        """Return each head's heaviest positions before the recent ones, and those.

        Raises
        ------
        ValueError
            No scores.
        """
        if scores is None:
            raise ValueError("H2O needs the attention mass of each token")
        tokens = np.array([keys.shape[1]], np.int64)
        heavy, recent = (int(b[0]) for b in self.budgets(tokens))
        return best_and_recent(scores, heavy, max(recent, 1 - heavy))


def _budget(prompt: Tokens, count: int | None, ratio: float) -> Tokens:
    """Return the count, or the share as int(ratio * length) rounds it."""
    if count is not None:
        return np.full_like(prompt, count)
    share: Tokens = np.floor(prompt * ratio).astype(np.int64)
    return share
