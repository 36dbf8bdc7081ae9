"""vLLM's configuration as it resolved it, and the ``meta.json`` of a measured run, flattened.

Such a file holds hundreds of settings that nobody gave. The arguments that were given
(``engine_kwargs``) are kept whole; of the rest only what tierlab knows is taken, because everything
else stands at what vLLM chose by itself.
"""

from __future__ import annotations

from typing import Any

from tierlab.simulator.fromvllm.known import KNOWN

RENAMED = {
    ("cache_config", "cache_dtype"): "kv_cache_dtype",
    ("scheduler_config", "policy"): "scheduling_policy",
}
"""Where the resolved configuration calls a setting by another name than the argument."""
GROUPS = ("model_config", "cache_config", "scheduler_config", "parallel_config")
WHOLE = ("speculative_config", "lora_config", "kv_transfer_config", "ec_transfer_config")
SECTIONS = ("engine_kwargs", "engine_args", "resolved_config", "kv_cache", "hardware")


def is_resolved(data: dict[str, Any]) -> bool:
    """Tell a resolved configuration, or a run's ``meta.json``, from plain arguments."""
    return any(isinstance(data.get(key), dict) for key in (*SECTIONS, *GROUPS))


def flatten(data: dict[str, Any]) -> dict[str, Any]:
    """Return arguments by name; what vLLM resolved wins over what was asked for."""
    given: dict[str, Any] = {}
    for key in ("engine_kwargs", "engine_args"):
        given |= {name.replace("-", "_"): value for name, value in _table(data, key).items()}
    found = given | _known(_table(data, "kv_cache"))
    resolved = _table(data, "resolved_config") or data
    for group in GROUPS:
        entries = _table(resolved, group)
        named = {RENAMED.get((group, name), name): value for name, value in entries.items()}
        found |= _known(named)
    found |= {key: resolved[key] for key in WHOLE if resolved.get(key)}
    graphs = _known(_table(resolved, "compilation_config"))
    if graphs:
        found["compilation_config"] = graphs
    device = _table(data, "hardware").get("device_name")
    return found | ({"device_name": device} if isinstance(device, str) else {})


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in values.items() if k in KNOWN and v is not None}


def _table(data: dict[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}
