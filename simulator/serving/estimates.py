"""What loading a request's blocks from lower tiers would cost, and what computing them would."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tierlab.policies.protocol import LoadView
from tierlab.simulator.network.network import Network
from tierlab.simulator.serving.places import Places
from tierlab.simulator.serving.steptime import StepTimes
from tierlab.simulator.tiers.choices import choices
from tierlab.simulator.tiers.hierarchy import Hierarchy
from tierlab.simulator.tiers.moves import Found
from tierlab.simulator.tiers.spec import TierSpec

_NONE = np.zeros(0, np.int64)


class Timer(Protocol):
    """How long a step takes."""

    def mixed(
        self, q_len: NDArray[np.int64], kv_len: NDArray[np.int64], decodes: NDArray[np.int64]
    ) -> StepTimes:
        """Return one step of prefill chunks beside decodes."""


@dataclass(frozen=True, eq=False)
class Estimates:
    """Estimates for replicas that are alike.

    Attributes
    ----------
    timer, budget
        How long steps take, and the most tokens of one.
    block_tokens
        Of an engine block.
    layers
        Of the model.
    overlaps
        Whether computing goes on while a load does.
    """

    network: Network
    timer: Timer
    budget: int
    block_tokens: int
    layers: int
    overlaps: bool
    _chunks: dict[tuple[int, int], float] = field(default_factory=dict)

    def of(self, found: Found, tiers: Hierarchy, places: Places, whole: int) -> LoadView:
        """Return the choices for a prompt of which `found` is in lower tiers.

        Parts of several tiers are taken to load one after the other; a part of a load takes its
        share of the time of all of it.

        Parameters
        ----------
        whole
            Tokens that must be held before the next output token.
        """
        splits, queue_s = choices(tiers, found), 0.0
        load_s = np.zeros(len(splits.blocks))
        for at, tier in enumerate(tiers.tiers):
            nbytes, pieces = splits.nbytes[:, at], int(splits.pieces[-1, at])
            if nbytes[-1] > 0:
                wait_s, alone_s = self._load_s(tier.spec, places, nbytes[-1], pieces)
                queue_s = max(queue_s, wait_s)
                load_s += alone_s * nbytes / nbytes[-1]
        load_s[splits.blocks > 0] += queue_s
        past = (found.start + splits.blocks) * self.block_tokens
        recompute_s = np.array([self.prefill_s(int(p), whole) for p in past])
        return splits.view(load_s, recompute_s, queue_s, self.overlaps)

    def _load_s(
        self, spec: TierSpec, places: Places, nbytes: float, pieces: int
    ) -> tuple[float, float]:
        """Return how long a load would wait now, and how long it would move.

        Nodes that a tier is interleaved over send at the same time.
        """
        nodes, gpu = places.nodes[spec.name], places.gpus[0]
        alone, now = (
            self.network.estimate(
                nodes[0],
                gpu,
                nbytes / places.ways(spec.name),
                pieces=max(pieces / len(nodes), 1),
                mechanism=spec.mechanism,
                queued=queued,
            )
            for queued in (False, True)
        )
        return max(now - alone, 0.0), alone

    def prefill_s(self, past: int, end: int) -> float:
        """Return what computing a prompt from one token to another takes, alone."""
        total = 0.0
        while past < end:
            q = min(self.budget, end - past)
            past += q
            total += self._chunk_s(q, past)
        return total

    def _chunk_s(self, q_len: int, kv_len: int) -> float:
        known = self._chunks.get((q_len, kv_len))
        if known is None:
            times = self.timer.mixed(np.array([q_len]), np.array([kv_len]), _NONE)
            known = self._chunks[q_len, kv_len] = float(times.seconds[0])
        return known
