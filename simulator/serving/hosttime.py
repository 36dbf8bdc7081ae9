"""The host's share of a step: what the device waits for, and what passes beside it.

A step lasts ``before + max(device, beside)``. Launches always run ahead of the kernels that they
launch, so they are beside. The engine's own work (choosing a batch, settling its outputs) is
beside with asynchronous scheduling, because it belongs to the next step, and before without.

Launches are counted from the model's operations. The time models' fixed costs of a kernel are the
device's own (prologue and epilogue of a kernel replayed from a graph), the same in every regime:
nothing is counted twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tierlab.hwmodels.hostcost import HostCosts
from tierlab.kernels.models.architecture import Model
from tierlab.kernels.models.step import decode_work, dense_work, prefill_work
from tierlab.simulator.serving.graphs import EAGER, FULL, CudaGraphs

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Launches:
    """Kernels of one step.

    Attributes
    ----------
    dense
        Those that depend on tokens alone.
    decode, prefill
        Sequence mixing of decodes, and of chunks: one call serves all sequences of a step.
    head
        Logits and sampling; no mode records them.
    pieces
        Parts that attention cuts a piecewise graph into.
    """

    dense: float
    decode: float
    prefill: float
    head: float
    pieces: int

    @classmethod
    @lru_cache(maxsize=64)
    def of(cls, model: Model, weights: str, tp: int) -> Launches:
        """Count a model's kernels on one rank; the points of a sweep ask for the same."""
        return cls(
            float(dense_work(model, weights, tp, 1, 0).repeat.sum()),
            float(decode_work(model, tp, "bf16", 1, 1.0, 0.0).repeat.sum()),
            float(prefill_work(model, tp, "bf16", 1, 1, weights).repeat.sum()),
            float(dense_work(model, weights, tp, 0, 1).repeat.sum()),
            1 + sum(layer.mixer is not None for layer in model.layers),
        )

    def number(self, regime: int, decodes_only: bool) -> tuple[float, int, int]:
        """Return kernels launched alone, pieces and whole graphs of a step."""
        mixing = self.decode if decodes_only else max(self.decode, self.prefill)
        if regime == FULL:
            return self.head, 0, 1
        if regime == EAGER:
            return self.dense + mixing + self.head, 0, 0
        return mixing + self.head, self.pieces, 0


@dataclass(frozen=True)
class HostTime:
    """The host of one replica.

    Attributes
    ----------
    overlaps
        Scheduling is asynchronous.
    """

    costs: HostCosts
    graphs: CudaGraphs
    launches: Launches
    overlaps: bool

    def work_s(self, sequences: ArrayLike) -> Floats:
        """Return the engine's own work for steps of so many sequences."""
        count = np.asarray(sequences, np.float64)
        return np.where(count > 0, self.costs.step_s + self.costs.sequence_s * count, 0.0)

    def before_s(self, sequences: ArrayLike) -> Floats:
        """Return what the device waits for."""
        return self.work_s(sequences) * (not self.overlaps)

    def beside_s(self, sequences: ArrayLike) -> Floats:
        """Return the engine's own work that passes beside the device."""
        return self.work_s(sequences) * self.overlaps

    def launch_s(self, tokens: ArrayLike, decodes_only: bool) -> Floats:
        """Return what launching batches of so many tokens takes, which is beside the device."""
        costs = self.costs
        by_regime = np.zeros(3)
        for regime in range(3):
            alone, pieces, graphs = self.launches.number(regime, decodes_only)
            by_regime[regime] = (
                alone * costs.launch_s + pieces * costs.piece_s + graphs * costs.graph_s
            )
        seconds: Floats = by_regime[self.graphs.regime(tokens, decodes_only)]
        return np.where(np.asarray(tokens) > 0, seconds, 0.0)

    def step_s(self, device_s: Floats, tokens: int, sequences: int, decodes_only: bool) -> Floats:
        """Return how long steps last whose kernels take `device_s`."""
        beside = self.beside_s(sequences) + self.launch_s(tokens, decodes_only)
        lasts: Floats = self.before_s(sequences) + np.maximum(device_s, beside)
        return lasts

    def queued_after_s(self, prompt_tokens: ArrayLike) -> Floats:
        """Return how long prompts take to be parsed, tokenised and hashed before they queue."""
        count = np.asarray(prompt_tokens, np.float64)
        return self.costs.request_s + self.costs.token_s * count
