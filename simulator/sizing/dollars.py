"""Dollars an hour of replicas with tiers of given sizes.

    rental of the replicas' GPUs
    + bytes of each tier x price / amortisation     (DRAM: beyond what comes with the GPUs)
    + power of CXL modules and drives, by the share of them that is used, x PUE x electricity

Only the bytes of a tier are paid for, where `tierlab run` pays for the whole system as installed.
"""

from __future__ import annotations

from collections.abc import Mapping

from tierlab.hwmodels.device import Cxl, Device, Host
from tierlab.hwmodels.price import Prices
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import fold
from tierlab.simulator.sizing.setting import Setting


def rental_usd_per_h(setting: Setting) -> float | None:
    """Return the rental of one GPU, USD/h; None where it has no price."""
    try:
        return setting.parts.prices.gpu_rental(setting.parts.system.gpu.name)
    except BadInput:
        return None


def gpus_of(setting: Setting) -> int:
    """Return the GPUs of all replicas."""
    engine = setting.scenario.engine
    return engine.replicas * engine.tensor_parallel_size


def tiers_usd_per_h(setting: Setting, sizes_bytes: Mapping[str, float]) -> float:
    """Return what tiers of these sizes, all instances of each, cost an hour beside the GPUs.

    Raises
    ------
    BadInput
        A memory has no price, or the hardware has no place for a tier.
    """
    return sum(usd_per_h_of_tiers(setting, sizes_bytes).values())


def usd_per_h_of_tiers(setting: Setting, sizes_bytes: Mapping[str, float]) -> dict[str, float]:
    """Return the same tier by tier.

    Raises
    ------
    BadInput
        As `tiers_usd_per_h`.
    """
    prices = setting.parts.prices
    included = prices.included_dram_bytes_per_gpu * gpus_of(setting)
    usd = {}
    for name, size in sizes_bytes.items():
        device, total = setting.device(name), size * setting.instances(name)
        if isinstance(device, Host):
            included, total = max(0.0, included - total), max(0.0, total - included)
        usd[name] = _usd_per_h(prices, device, total)
    return usd


def _usd_per_h(prices: Prices, device: Device, nbytes: float) -> float:
    bought = prices.memory_usd(_kind(device), nbytes) / (prices.amortisation_s / 3600)
    if isinstance(device, Host):
        return bought
    kw = device.tdp_w * nbytes / device.capacity_bytes / 1e3
    return bought + kw * prices.pue * prices.electricity_usd_per_j * 3.6e6


def _kind(device: Device) -> str:
    if isinstance(device, Host):
        return fold(device.memory_type)
    return "cxl" if isinstance(device, Cxl) else "nvme"


def usd_per_h(setting: Setting, sizes_bytes: Mapping[str, float]) -> float | None:
    """Return what replicas and tiers cost an hour, USD; None where the GPU has no price."""
    rental = rental_usd_per_h(setting)
    if rental is None:
        return None
    return rental * gpus_of(setting) + tiers_usd_per_h(setting, sizes_bytes)
