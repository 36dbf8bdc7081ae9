"""What an inclusive LRU hierarchy of any size hits of a trace, from stack distances, without time.

Blocks are the trace's. An LRU cache of c blocks holds the c blocks used last, whatever lies above
or below it, so of inclusive tiers the largest decides: a tier no larger than HBM mirrors it. The
pool in HBM is taken to hold nothing but kept blocks; a serving engine also holds what runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.base.errors import BadInput
from tierlab.policies.cache.stack import Distances, lru_distances
from tierlab.simulator.curves.count import requests_of
from tierlab.simulator.scenario.schema import EngineSection
from tierlab.traces.schema import Trace

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Reach:
    """Hits by capacity, over all caches that share a trace.

    Attributes
    ----------
    parts
        Distances of what each cache sees.
    block_bytes
        KV bytes of one block of the trace, all ranks of a replica together.
    """

    parts: tuple[Distances, ...]
    block_bytes: float

    @property
    def accesses(self) -> int:
        """Blocks asked for."""
        return sum(part.accesses for part in self.parts)

    @cached_property
    def _hits(self) -> NDArray[np.int64]:
        """Hits, int64[c + 1], of caches of 0 to c blocks each; the last value holds beyond."""
        total = np.zeros(max(len(part.needs) for part in self.parts), np.int64)
        for part in self.parts:
            total[: len(part.needs)] += part.needs
        return total.cumsum()

    def hit_ratio(self, capacity_bytes: float) -> float:
        """Return hits over blocks asked for with so many bytes for each cache."""
        blocks = min(int(capacity_bytes / self.block_bytes * (1 + 1e-12)), len(self._hits) - 1)
        return float(self._hits[blocks] / max(1, self.accesses))

    @property
    def unlimited(self) -> float:
        """The hit ratio of caches that forget nothing."""
        return float(self._hits[-1] / max(1, self.accesses))

    def blocks_for(self, ratio: float) -> int:
        """Return the least blocks for each cache that reach a hit ratio.

        Raises
        ------
        BadInput
            No size reaches it.
        """
        wanted = ratio * self.accesses * (1 - 1e-12)
        blocks = int(np.searchsorted(self._hits, wanted))
        if blocks == len(self._hits):
            best = self.unlimited
            what = f"{ratio:g} cannot be reached: a cache that forgets nothing gives {best:.4f}"
            raise BadInput("--hit-ratio", what, f"above 0, at most {np.floor(best * 1e4) / 1e4:g}")
        return blocks

    @property
    def most_blocks(self) -> int:
        """The least blocks for each cache beyond which nothing more is hit."""
        return int(np.searchsorted(self._hits, self._hits[-1]))

    @property
    def every_block(self) -> int:
        """Different blocks that a cache is asked for: one of that size forgets nothing."""
        return max(1, *(len(part.needs) - 1 for part in self.parts))


def shared_reach(trace: Trace, token_bytes: float, progress: Progress | None = None) -> Reach:
    """Return the hits of one cache that sees every request.

    Raises
    ------
    BadInput
        The trace has no block ids.
    """
    requests = requests_of(trace)
    distances = lru_distances(requests, progress=progress)
    return Reach((distances,), token_bytes * trace.block_tokens)


def replica_reach(trace: Trace, engine: EngineSection, token_bytes: float) -> Reach:
    """Return the hits of one cache for each replica.

    Parameters
    ----------
    engine
        Its replicas and routing: who gets which request must not depend on time.

    Raises
    ------
    BadInput
        The trace has no block ids, or a router looks at the replicas' state.
    """
    if engine.replicas == 1:
        return shared_reach(trace, token_bytes)
    if engine.routing not in ("round_robin", {"name": "round_robin"}):
        what = f"{engine.routing!r} sends requests where time decides, which distances do not know"
        raise BadInput("engine.routing", what, "round_robin, or one replica")
    requests_of(trace)
    rows = np.arange(len(trace))
    split: Sequence[Trace] = [
        trace.take(rows[index :: engine.replicas]) for index in range(engine.replicas)
    ]
    parts = tuple(lru_distances(requests_of(part)) for part in split if len(part.run_start))
    return Reach(parts, token_bytes * trace.block_tokens)
