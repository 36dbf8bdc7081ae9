"""What twice a tier's size would buy, and whether it is worth its money."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tierlab.simulator.sizing.dollars import rental_usd_per_h
from tierlab.simulator.sizing.outcome import Bench, Outcome


def doublings(bench: Bench, sizes_bytes: Mapping[str, float]) -> dict[str, Any]:
    """Simulate the sizes, HBM alone, and each tier doubled with the others as they are.

    Returns
    -------
    dict
        ``alone`` and ``now`` are outcomes; ``doubled`` has a row for each tier, of which one
        that its device has no room for says so.
    """
    alone = bench.at({}, "HBM alone")
    now = bench.at(sizes_bytes, "as sized")
    rows = [_doubled(bench, now, name) for name in sizes_bytes if sizes_bytes[name] > 0]
    return {
        "alone": alone.to_json(),
        "now": now.to_json() | gain(bench, alone, now),
        "doubled": rows,
    }


def _doubled(bench: Bench, now: Outcome, name: str) -> dict[str, Any]:
    size, room = 2 * now.sizes_bytes[name], bench.setting.room_bytes(name)
    if size > room:
        return {"tier": name, "bytes": size, "room_bytes": room, "fits": False}
    then = bench.at({**now.sizes_bytes, name: size}, f"{name} doubled")
    row = {"tier": name, "bytes": size, "room_bytes": room, "fits": True}
    return row | then.to_json() | gain(bench, now, then)


def gain(bench: Bench, before: Outcome, after: Outcome) -> dict[str, Any]:
    """Return what a change saves and costs, and the verdict in one line.

    GPU-seconds saved are of the same requests; an hour's are in proportion to the time that
    those took. The change is worth its money where a saved GPU-second costs less than a rented
    one.
    """
    saved_gpu_s = before.gpu_s - after.gpu_s
    per_h = saved_gpu_s / before.simulated_s * 3600 if before.simulated_s > 0 else 0.0
    saved_ttft_s = _mean(before) - _mean(after)
    rental = rental_usd_per_h(bench.setting)
    found = {
        "saved_gpu_s": saved_gpu_s,
        "saved_gpu_s_per_h": per_h,
        "saved_ttft_mean_s": saved_ttft_s,
        "rented_usd_per_gpu_s": None if rental is None else rental / 3600,
    }
    if rental is None or before.usd_per_h is None or after.usd_per_h is None:
        return found | {"added_usd_per_h": None, "worth_it": None, "verdict": "no price"}
    added = after.usd_per_h - before.usd_per_h
    return found | _judged(added, per_h, saved_ttft_s, rental / 3600)


def _mean(outcome: Outcome) -> float:
    return float(outcome.summary["ttft_s"]["mean"] or 0.0)


def _judged(
    added_usd_per_h: float, saved_gpu_s_per_h: float, saved_ttft_s: float, rented: float
) -> dict[str, Any]:
    each = added_usd_per_h / saved_gpu_s_per_h if saved_gpu_s_per_h > 0 else None
    worth = each is not None and each < rented
    words = "worth it" if worth else "not worth it"
    if each is None:
        reason = f"saves no GPU time for ${added_usd_per_h:.4g}/h"
    else:
        reason = f"${each:.3g} for a GPU-second saved, ${rented:.3g} rented"
    if saved_ttft_s > 0:
        reason += f"; ${added_usd_per_h / saved_ttft_s:.3g}/h for a second of mean TTFT saved"
    else:
        reason += "; no TTFT saved"
    return {
        "added_usd_per_h": added_usd_per_h,
        "usd_per_saved_gpu_s": each,
        "usd_per_h_per_saved_ttft_s": added_usd_per_h / saved_ttft_s if saved_ttft_s > 0 else None,
        "worth_it": worth,
        "verdict": f"{words}: {reason}",
    }
