"""vLLM's KV connectors and its own offloading as tiers below HBM.

Names and keys: docs.vllm.ai, features/kv_offloading_usage, and ``CacheConfig`` of vLLM 0.26. Bytes
count all ranks of an engine, there and here.
"""

from __future__ import annotations

from typing import Any

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.fromvllm.arguments import Arguments
from tierlab.simulator.fromvllm.values import read, table

CONNECTORS = {
    "OffloadingConnector": "vllm-offloading",
    "LMCacheConnectorV1": "lmcache",
    "LMCacheMPConnector": "lmcache",
    "MooncakeStoreConnector": "mooncake-store",
}
"""Connector -> the preset that imitates it."""
BACKENDS = {"native": "vllm-offloading", "lmcache": "lmcache"}
"""`kv_offloading_backend` -> preset."""
_CAPACITY = "cpu_bytes_to_use"
_OFFLOADING = {
    "block_size": ("block_size", "integer"),
    "store_threshold": ("store_after_uses", "integer"),
    "max_tracker_size": ("tracked", "integer"),
}
"""Key of the offloading connector -> key of ``[tiers.dram]``, kind."""


def tiers_of(arguments: Arguments, notes: list[str]) -> dict[str, Any] | None:
    """Return ``[tiers]`` where the arguments ask for a place below HBM, else None.

    Raises
    ------
    BadInput
        A connector or a setting of it that no preset imitates.
    """
    values, where = arguments.values, arguments.where
    given, size = values.get("kv_transfer_config"), values.get("kv_offloading_size")
    if given not in (None, {}, "", []):
        return _connector(table(given, f"{where}: kv_transfer_config"), where, notes)
    if size in (None, 0, "0", ""):
        return None
    nbytes = read(size, "number", f"{where}: kv_offloading_size") * 2**30
    backend = str(values.get("kv_offloading_backend") or "native").lower()
    if backend not in BACKENDS:
        raise BadInput(f"{where}: kv_offloading_backend", f"{backend!r}", " or ".join(BACKENDS))
    return {"preset": BACKENDS[backend], "dram": {"capacity": nbytes}}


def _connector(config: dict[str, Any], where: str, notes: list[str]) -> dict[str, Any]:
    at = f"{where}: kv_transfer_config"
    name = str(config.get("kv_connector"))
    if name not in CONNECTORS:
        what = f"{name!r} is not modelled: no tier below HBM imitates it"
        raise BadInput(f"{at}.kv_connector", what, ", ".join(CONNECTORS))
    if config.get("kv_role", "kv_both") != "kv_both":
        what = f"{config['kv_role']!r}: prefill and decode run in one engine here"
        raise BadInput(f"{at}.kv_role", what, "kv_both")
    extra = table(config.get("kv_connector_extra_config") or {}, f"{at}.kv_connector_extra_config")
    if name == "OffloadingConnector":
        return _offloading(extra, f"{at}.kv_connector_extra_config")
    notes.append(f"{name} has its sizes in its own configuration; the preset's defaults are taken")
    tiers: dict[str, Any] = {"preset": CONNECTORS[name]}
    return tiers | ({"store": "async"} if name == "LMCacheMPConnector" else {})


def _offloading(extra: dict[str, Any], at: str) -> dict[str, Any]:
    """Return the tiers of `CPUOffloadingSpec`."""
    spec = extra.get("spec_name", "CPUOffloadingSpec")
    if spec != "CPUOffloadingSpec":
        raise BadInput(f"{at}.spec_name", f"{spec!r}", "CPUOffloadingSpec; other tiers as [tiers]")
    if not extra.get(_CAPACITY):
        raise BadInput(f"{at}.{_CAPACITY}", "is missing", "bytes of CPU memory, of all ranks")
    dram: dict[str, Any] = {"capacity": read(extra[_CAPACITY], "number", f"{at}.{_CAPACITY}")}
    for name, (key, kind) in _OFFLOADING.items():
        if extra.get(name) is not None:
            dram[key] = read(extra[name], kind, f"{at}.{name}")
    if "store_after_uses" in dram:
        dram["store_after_uses"] = max(dram["store_after_uses"], 1)
    if extra.get("eviction_policy") is not None:
        dram["eviction"] = str(extra["eviction_policy"])
    return {"preset": CONNECTORS["OffloadingConnector"], "dram": dram}
