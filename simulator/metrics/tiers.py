"""Figures of the tiers and of the links between them."""

from __future__ import annotations

from typing import Any

from tierlab.policies.protocol import TIERS
from tierlab.simulator.serving.run import Run
from tierlab.simulator.tiers.spec import HBM
from tierlab.simulator.tiers.tier import Tier


def tier_figures(run: Run) -> dict[str, dict[str, Any]]:
    """Return each tier's figures, of all replicas; a tier that is not there holds nothing."""
    return {name: _hbm(run) if name == HBM else _lower(run, name) for name in TIERS}


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
    if run.network is None:
        return out
    for (link, way, cause), moved in run.network.moved().items():
        figures = out[groups[link]]
        figures["bytes"] += moved.bytes
        causes = figures["by_cause"].setdefault(cause, {"down": 0.0, "up": 0.0})
        causes[way] += moved.bytes
    instances = list(groups.values())
    for (link, _), busy_s in run.network.busy_s().items():
        if run.simulated_s > 0:
            share = busy_s / run.simulated_s / (2 * instances.count(groups[link]))
            out[groups[link]]["busy_fraction"] += share
    return out
