"""Figures of the tiers and of the links between them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tierlab.policies.protocol import TIERS
from tierlab.simulator.metrics.placed import placed_crossings, placed_tier
from tierlab.simulator.serving.run import Run
from tierlab.simulator.tiers.spec import HBM
from tierlab.simulator.tiers.tier import Tier


def tier_figures(run: Run) -> dict[str, dict[str, Any]]:
    """Return each tier's figures, of all replicas; a tier that is not there holds nothing."""
    figures = {name: _hbm(run) if name == HBM else _lower(run, name) for name in TIERS}
    placed = placed_tier(run)
    if placed is not None:
        figures[placed[0]] |= placed[1]
    return figures


def _hbm(run: Run) -> dict[str, Any]:
    ranks = run.scenario.engine.tensor_parallel_size
    return {
        "capacity_bytes": run.parts.pool.capacity_bytes * ranks * len(run.caches),
        "peak_bytes": run.ledger.peak_bytes[HBM] * ranks,
        "bytes_read": sum(t.copier.flows[HBM].read_bytes for t in run.tierings),
        "bytes_written": sum(t.copier.flows[HBM].written_bytes for t in run.tierings),
        "blocks_hit": sum(cache.blocks_hit for cache in run.caches),
        "blocks_evicted": sum(cache.evicted for cache in run.caches),
    }


def _lower(run: Run, name: str) -> dict[str, Any]:
    flows = [t.copier.flows[name] for t in run.tierings if name in t.copier.flows]
    tiers = _tiers(run, name)
    shared = any(tier.spec.shared for tier in tiers)
    peaks = [flow.peak_bytes for flow in flows]
    size = run.scenario.engine.block_size
    counts = [tier.counts for tier in tiers]
    figures: dict[str, Any] = {
        "capacity_bytes": float(sum(tier.spec.capacity_bytes for tier in tiers)),
        "peak_bytes": max(peaks, default=0.0) if shared else float(sum(peaks)),
        "bytes_read": float(sum(flow.read_bytes for flow in flows)),
        "bytes_written": float(sum(flow.written_bytes for flow in flows)),
        "blocks_hit": sum(count.hit_tokens for count in counts) // size,
        "blocks_evicted": sum(count.evicted for count in counts),
    }
    for key in ("stored", "promoted", "prefetched", "demoted", "refused", "filtered", "lost"):
        figures[f"blocks_{key}"] = sum(getattr(count, key) for count in counts)
    return figures


def _tiers(run: Run, name: str) -> list[Tier]:
    """Return the different tiers of that name."""
    found = [tier for t in run.tierings for tier in t.tiers.tiers if tier.spec.name == name]
    return list({id(tier): tier for tier in found}.values())


def link_figures(run: Run) -> dict[str, dict[str, Any]]:
    """Return the bytes of each kind of link, by direction and cause, and how long it was busy.

    `busy_fraction` is the mean over instances and directions.
    """
    groups = {edge.name: edge.group for edge in run.parts.system.edges}
    out: dict[str, dict[str, Any]] = {
        group: {"bytes": 0.0, "busy_fraction": 0.0, "by_cause": {}} for group in groups.values()
    }
    instances = list(groups.values())
    for link, way, cause, nbytes, busy_s in _crossings(run):
        figures = out[groups[link]]
        if cause:
            figures["bytes"] += nbytes
            causes = figures["by_cause"].setdefault(cause, {"down": 0.0, "up": 0.0})
            causes[way] += nbytes
        if run.simulated_s > 0:
            share = busy_s / run.simulated_s / (2 * instances.count(groups[link]))
            figures["busy_fraction"] += share
    return out


def _crossings(run: Run) -> Iterator[tuple[str, str, str, float, float]]:
    """Yield link, direction, cause, bytes and busy seconds; busy time of copies has no cause."""
    yield from placed_crossings(run)
    if run.network is not None:
        for (link, way, cause), moved in run.network.moved().items():
            yield link, way, cause, moved.bytes, 0.0
        for (link, way), busy_s in run.network.busy_s().items():
            yield link, way, "", 0.0, busy_s
