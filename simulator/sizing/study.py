"""All that ``tierlab plan --trace`` answers, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import near
from tierlab.simulator.scenario.tiers import NAMES
from tierlab.simulator.sizing.doubling import doublings
from tierlab.simulator.sizing.outcome import Bench, Watch
from tierlab.simulator.sizing.reach import Reach
from tierlab.simulator.sizing.setting import Setting
from tierlab.simulator.sizing.sizes import Reaches, hbm_row, size_rows, written
from tierlab.simulator.sizing.slo import TOLERANCE, Target, size_for
from tierlab.traces.schema import Trace


@dataclass(frozen=True)
class Question:
    """What is asked of a trace.

    Attributes
    ----------
    tiers
        To size; empty: those of the scenario, or else all that the hardware has.
    hit_ratio, slo
        The target, one of them or none.
    doubling
        Whether to simulate what the next doubling buys.
    """

    tiers: tuple[str, ...] = ()
    hit_ratio: float | None = None
    slo: Target | None = None
    tolerance: float = TOLERANCE
    doubling: bool = True


def chosen_tiers(setting: Setting, asked: Sequence[str]) -> tuple[str, ...]:
    """Return the tiers to size, each once, in the scenario's order.

    Raises
    ------
    BadInput
        A tier is unknown, the hardware has no place for it, or it has no place for any.
    """
    for name in asked:
        if name not in NAMES:
            raise BadInput("--tier", f"unknown tier {name!r}", near(name, NAMES))
        if name not in setting.available:
            setting.places(name)
    wanted = tuple(asked) or tuple(setting.existing()) or setting.available
    if not wanted:
        system = setting.parts.system
        what = f"{system.name} has no place for a tier below HBM"
        raise BadInput("--hardware", what, "a system with a host, CXL modules or drives")
    return tuple(name for name in setting.scenario.tiers.order if name in wanted)


def study(setting: Setting, trace: Trace, asked: Question, watch: Watch) -> dict[str, Any]:
    """Answer a question about a trace.

    Raises
    ------
    BadInput
        The trace has no block ids, or the target cannot be reached.
    """
    tiers = chosen_tiers(setting, asked.tiers)
    with watch("measuring reuse", "blocks") as report:
        reaches = Reaches(setting, trace, report)
        found = _without_time(setting, trace, reaches)
    bench = Bench(setting, trace, watch)
    if asked.hit_ratio is not None:
        found["target"] = {"hit_ratio": asked.hit_ratio}
        found["sizes"] = size_rows(setting, reaches, tiers, asked.hit_ratio)
    if asked.slo is not None:
        found["target"] = {"slo": asked.slo.text, "tolerance": asked.tolerance}
        found["sizes"] = [
            size_for(bench, asked.slo, name, reaches.tier(name), asked.tolerance) for name in tiers
        ]
    sized = sizes_to_double(setting, tiers, found)
    if asked.doubling and sized:
        found["next"] = doublings(bench, sized)
    return found | {"runs": bench.runs}


def _without_time(setting: Setting, trace: Trace, reaches: Reaches) -> dict[str, Any]:
    reach, engine = reaches.of(False), setting.scenario.engine
    return {
        "trace": trace.name,
        "requests": len(trace),
        "block_tokens": trace.block_tokens,
        "block_bytes": reach.block_bytes,
        "blocks_asked": reach.accesses,
        "model": setting.parts.model.name,
        "hardware": setting.parts.system.name,
        "replicas": engine.replicas,
        "hbm": hbm_row(setting, reaches),
        "unlimited": _unlimited(reach),
        "unlimited_shared": _unlimited(reaches.of(True)),
        "target": None,
        "sizes": [],
        "next": None,
    }


def _unlimited(reach: Reach) -> dict[str, Any]:
    """Return what a cache that forgets nothing hits, and from which size on."""
    everything = written(reach.most_blocks * reach.block_bytes)
    return {"hit_ratio": reach.unlimited, "blocks": reach.most_blocks, **everything}


def sizes_to_double(
    setting: Setting, tiers: Sequence[str], found: dict[str, Any]
) -> dict[str, float]:
    """Return the sizes from which the next doubling is asked.

    The scenario's own tiers, where it has any and none was sized. Else those, with the first of
    the sized ones that the hardware has room for; where HBM alone reaches the target, or there is
    none, that tier at the size of HBM, from where on it is of use.
    """
    own = setting.existing()
    if own and not found["sizes"]:
        return own
    for row in found["sizes"]:
        if row["needed"] and row.get("fits", True):
            return _in_order(setting, own | {row["tier"]: row["bytes"]})
    for name in tiers:
        if setting.hbm_bytes <= setting.room_bytes(name) and not _sized(found):
            return _in_order(setting, own | {name: setting.hbm_bytes})
    return {}


def _sized(found: dict[str, Any]) -> bool:
    return any(row["needed"] for row in found["sizes"])


def _in_order(setting: Setting, sizes: dict[str, float]) -> dict[str, float]:
    return {name: sizes[name] for name in setting.scenario.tiers.order if sizes.get(name)}
