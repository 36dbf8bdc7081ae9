"""Figures of KV that a design places below HBM: its tier, and the links that it crosses."""

from __future__ import annotations

from collections.abc import Iterator

import simpy

from tierlab.policies.protocol import Moves
from tierlab.simulator.network.network import Network
from tierlab.simulator.serving.below import tier_below
from tierlab.simulator.serving.engine import state
from tierlab.simulator.serving.far import MECHANISM, sources_of
from tierlab.simulator.serving.kept import KIB
from tierlab.simulator.serving.run import Run

LOADED, LEFT = "selection", "write_through"
"""The causes of bytes to HBM, and from it."""


def placed_tier(run: Run) -> tuple[str, dict[str, float]] | None:
    """Return the tier that the design places KV in, and its figures; None where it does not.

    Its peak is what was reserved for requests up to their ends.
    """
    if not isinstance(run.parts.design.placement, Moves):
        return None
    ranks = run.scenario.engine.tensor_parallel_size
    cores = [cache.core for cache in run.caches]
    return tier_below(run.parts), {
        "capacity_bytes": float(sum(core.reg[state.FAR_SIZE] for core in cores)) * KIB,
        "peak_bytes": float(sum(core.reg[state.FAR_PEAK] for core in cores)) * KIB,
        "bytes_read": float(sum(core.real[state.MOVED_BYTES] for core in cores)) * ranks,
        "bytes_written": float(sum(core.real[state.STORED_BYTES] for core in cores)) * ranks,
    }


def placed_crossings(run: Run) -> Iterator[tuple[str, str, str, float, float]]:
    """Yield link, direction, cause, bytes, and the seconds that they took of the link."""
    if not isinstance(run.parts.design.placement, Moves):
        return
    system, ranks = run.parts.system, run.scenario.engine.tensor_parallel_size
    network = Network(simpy.Environment(), system, keep_records=False)
    gpus = list(system.gpus())[: ranks * len(run.caches)]
    sources = sources_of(system, tier_below(run.parts), gpus)
    for index, (source, gpu) in enumerate(zip(sources, gpus, strict=True)):
        real = run.caches[index // ranks].core.real
        s_per_byte = float(real[state.MOVES_S_PER_BYTE])
        moved = (source, gpu, LOADED, state.MOVED_BYTES), (gpu, source, LEFT, state.STORED_BYTES)
        for start, end, cause, register in moved:
            nbytes = float(real[register])
            for edge, down in network.route(start, end, MECHANISM).legs:
                way = "down" if down else "up"
                yield edge.name, way, cause, nbytes, nbytes * s_per_byte
