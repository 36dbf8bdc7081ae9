"""Where the numbers of a run come from: every quantity of its hardware, prices and design."""

from __future__ import annotations

from typing import Any

from tierlab.hwmodels.device import Cxl, Host
from tierlab.hwmodels.quantity import Quantity
from tierlab.hwmodels.system import System
from tierlab.kernels.base.names import fold
from tierlab.simulator.serving.build import Parts


def provenance(parts: Parts) -> dict[str, list[dict[str, Any]]]:
    """Return ``hardware`` and ``prices``, each value with unit and source, and ``design``."""
    return {
        "hardware": [_row(key, q) for key, q in parts.system.sources().items()],
        "prices": [_row(key, q) for key, q in parts.prices.sources.items() if _used(key, parts)],
        "design": [
            {"key": axis, "value": policy.name, "source": policy.paper}
            for axis, policy in parts.design.policies.items()
        ],
    }


def _row(key: str, quantity: Quantity) -> dict[str, Any]:
    value = quantity.written
    written = list(value) if isinstance(value, tuple) else value
    return {"key": key, "value": written, "unit": quantity.unit, "source": quantity.source}


def measured_ways(system: System) -> list[dict[str, Any]]:
    """Return what was measured of each drive and GPU, and over which sizes and depths."""
    return [
        {
            "node": node,
            "device": found.file.device,
            "date": found.file.date,
            "command": found.file.command,
            "file": found.file.path.name,
            **way.told(),
        }
        for node, found in system.measured.items()
        for way in found.ways.values()
    ]


def _used(key: str, parts: Parts) -> bool:
    """Say whether a price is of something that the system has."""
    table, _, entry = key.partition(".")
    system = parts.system
    if table == "gpu_usd_per_h":
        return entry in {fold(gpu.name) for gpu in system.gpus().values()}
    if table == "memory_usd_per_gb":
        devices = system.nodes.values()
        kinds = {fold(d.memory_type) for d in devices if isinstance(d, Host)}
        kinds |= {"cxl"} if any(isinstance(d, Cxl) for d in devices) else set()
        return entry in kinds | ({"nvme"} if system.ssds() else set())
    return True
