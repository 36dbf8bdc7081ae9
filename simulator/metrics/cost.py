"""Dollars and joules of a run.

Replicas pay for their share of the system, their GPUs of all GPUs, for as long as any serves. A
GPU draws its idle power always, and up to its full power while its replica's steps run; the
host's share likewise. That a busy GPU draws its full power is an assumption: decode alone draws
less.
"""

from __future__ import annotations

from tierlab.hwmodels.device import Cxl, Device, Gpu, Host, Ssd
from tierlab.hwmodels.price import system_usd_breakdown, system_usd_per_h
from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.serving.run import Run
from tierlab.simulator.sizing.dollars import gpus_of, usd_per_h_of_tiers
from tierlab.simulator.sizing.setting import Setting

_KINDS: dict[type[Device], str] = {Gpu: "gpu", Host: "host", Cxl: "cxl", Ssd: "ssd"}


def share(run: Run) -> float:
    """Return one replica's GPUs over the system's."""
    return run.scenario.engine.tensor_parallel_size / len(run.parts.system.gpus())


def usd(run: Run) -> float | None:
    """Return what the run cost, USD; None where the GPU has no price."""
    try:
        per_h = system_usd_per_h(run.parts.system, run.parts.prices)
    except BadInput:
        return None
    return per_h * share(run) * len(run.caches) * run.simulated_s / 3600


def joules(run: Run) -> float:
    """Return the energy of the replicas' share of the system, J, without cooling."""
    busy_s, lasting_s = float(run.record.busy_s.sum()), run.simulated_s * len(run.caches)
    total = 0.0
    for device in run.parts.system.nodes.values():
        total += device.idle_w * lasting_s + (device.tdp_w - device.idle_w) * busy_s
    return total * share(run)


def usd_per_h_by_part(run: Run) -> dict[str, dict[str, float] | None]:
    """Return USD/h by part, None where something has no price.

    ``installed`` is the replicas' share of the whole system, as `usd` counts; ``sized`` are the
    replicas' GPUs and the bytes of each tier alone (`tierlab.simulator.sizing.dollars`).
    """
    return {"installed": _installed(run), "sized": _sized(run)}


def _installed(run: Run) -> dict[str, float] | None:
    try:
        parts = system_usd_breakdown(run.parts.system, run.parts.prices)
    except BadInput:
        return None
    return {name: usd_per_h * share(run) * len(run.caches) for name, usd_per_h in parts.items()}


def _sized(run: Run) -> dict[str, float] | None:
    setting, parts = Setting(run.scenario, run.parts), run.parts
    try:
        gpu = parts.prices.gpu_rental(parts.system.gpu.name) * gpus_of(setting)
        return {"gpu": gpu, **usd_per_h_of_tiers(setting, setting.existing())}
    except BadInput:
        return None


def joules_by_part(run: Run) -> dict[str, dict[str, float]]:
    """Return the energy by kind of device, J; ``idle`` is drawn always, ``busy`` comes on top."""
    busy_s, lasting_s = float(run.record.busy_s.sum()), run.simulated_s * len(run.caches)
    parts: dict[str, dict[str, float]] = {}
    for device in run.parts.system.nodes.values():
        part = parts.setdefault(_KINDS.get(type(device), "switch"), {"idle": 0.0, "busy": 0.0})
        part["idle"] += device.idle_w * lasting_s * share(run)
        part["busy"] += (device.tdp_w - device.idle_w) * busy_s * share(run)
    return parts
