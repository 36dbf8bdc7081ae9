"""``[tiers]``: the tiers below HBM, and what is loaded from them; see docs/tiers.md."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.units import UNITS, to_si
from tierlab.simulator.scenario.section import Section

NAMES = ("dram", "cxl", "ssd", "remote")
Policy = str | dict[str, Any]


def _bytes(value: Any) -> Any:
    """Read ``"256 GiB"`` or ``"1 TB"``; a number is in bytes."""
    if not isinstance(value, str):
        return value
    number, _, unit = value.strip().partition(" ")
    accepted = (
        f'a number of bytes, or "256 GiB": a number, a space, one of {" ".join(UNITS["bytes"])}'
    )
    try:
        return to_si(float(number), unit.strip(), "bytes", "capacity")
    except (ValueError, BadInput):
        raise ValueError(f"is not {accepted}") from None


class PrefetchSection(Section):
    """``[tiers.prefetch]``: copies from lower tiers to the fastest while a request queues."""

    policy: Literal["none", "best_effort", "wait_complete", "timeout"] = Field(
        "none",
        description="best_effort: a scheduled request takes what has come; wait_complete: it "
        "waits for all; timeout: at most min(most_s, base_s + per_1024_s x tokens / 1024)",
    )
    threshold_tokens: int = Field(256, ge=0, description="fewer tokens are not prefetched")
    base_s: float = Field(2.0, ge=0, description="timeout: seconds for any prefetch")
    per_1024_s: float = Field(0.1, ge=0, description="timeout: seconds for each 1,024 tokens")
    most_s: float = Field(30.0, gt=0, description="timeout: the longest wait, seconds")
    batch_blocks: int = Field(128, ge=1, description="blocks in one copy: all of it or nothing")
    share: float | None = Field(
        None, gt=0, description="tokens on their way, of the fastest tier less HBM; none: no limit"
    )


class TierSection(Section):
    """``[tiers.dram]`` and its like: one tier. Without capacity there is none."""

    capacity: Annotated[float, BeforeValidator(_bytes)] = Field(
        0.0, ge=0, description='bytes, or "256 GiB"; 0: no such tier, unless hbm_ratio is set'
    )
    hbm_ratio: float = Field(0.0, ge=0, description="capacity as a multiple of the KV pool in HBM")
    block_size: int | None = Field(
        None, ge=1, description="tokens per block, a multiple of those above; none: as above"
    )
    eviction: Policy = Field("lru", description="a reuse policy: a name or { name, ... }")
    ttl_s: float | None = Field(None, gt=0, description="seconds without a use until a block goes")
    write: Literal["through", "back", "never"] = Field(
        "through",
        description="through: once the tier above has a block; back: when that evicts it; never: "
        "only promotion and prefetch",
    )
    store_after_uses: int = Field(1, ge=1, description="requests for a block before it is written")
    tracked: int = Field(64_000, ge=1, description="blocks whose uses are counted, latest first")
    promote: bool = Field(False, description="what was loaded from here enters the fastest tier")
    promote_after_uses: int = Field(1, ge=1, description="requests for a block before it does")
    inclusive: bool = Field(True, description="false: keeps no block that a faster tier holds")
    staged: bool = Field(False, description="loads pass through the fastest tier's memory")
    shared: bool = Field(False, description="one instance for all replicas, of this capacity")
    touch_all: bool = Field(
        True, description="a request is a use of its blocks here even if a faster tier served it"
    )
    compression: float = Field(1.0, ge=1, description="logical over physical bytes")
    high_watermark: float = Field(
        1.0, gt=0, le=1, description="share of the capacity above which evict_share is evicted"
    )
    evict_share: float = Field(0.0, ge=0, le=1, description="share evicted at once; 0: as needed")
    staging_blocks: int = Field(
        50_000, ge=0, description="blocks evicted above that wait for their copy; others are lost"
    )
    layout: Literal["layer_first", "block_first"] = Field(
        "layer_first",
        description="layer_first: a copy for each KV tensor of each engine block; block_first: "
        "one for each engine block",
    )
    mechanism: Literal["loop", "batched", "kernel"] = Field(
        "batched", description="how copies to and from here are made"
    )
    device: str = Field("", description="node of the hardware where it lives; empty: by its name")
    queue_depth: int | None = Field(
        None,
        ge=1,
        description="pieces in flight to a drive with measured times (hardware.transfers); none: "
        "as many as were measured",
    )


class TiersSection(Section):
    """``[tiers]``: a preset, and keys that replace its values."""

    preset: str | None = Field(None, description="preset name, or path of a TOML")
    order: list[str] = Field(list(NAMES), description="tiers below HBM, the fastest first")
    store: Literal["async", "blocking"] = Field(
        "async",
        description="async: what is written leaves beside later steps; blocking: a step ends once "
        "what it computed has left HBM",
    )
    load: Literal["request_async", "layerwise", "blocking"] = Field(
        "request_async",
        description="request_async: the request waits, others run on; layerwise: a layer loads "
        "under the one before; blocking: all wait",
    )
    loading: Policy = Field(
        "always_load",
        description="always_load, always_recompute, cheaper, budgeted, the path of a policy, or "
        "{ name, ... }",
    )
    prompt_only: bool = Field(True, description="replies are not written")
    min_load_tokens: int = Field(0, ge=0, description="shorter hits are computed instead")
    max_load_tokens: int | None = Field(None, ge=0, description="most tokens loaded for a request")
    max_store_tokens: int | None = Field(
        None, ge=0, description="leading tokens of a prompt that are written; none: all"
    )
    prefetch: PrefetchSection = PrefetchSection()
    dram: TierSection = TierSection()
    cxl: TierSection = TierSection()
    ssd: TierSection = TierSection()
    remote: TierSection = TierSection()

    @model_validator(mode="before")
    @classmethod
    def _on_its_preset(cls, data: Any) -> Any:
        """Lay what is given over the preset's values."""
        if not isinstance(data, dict) or not isinstance(data.get("preset"), str):
            return data
        from tierlab.simulator.tiers.preset import load_preset

        return _merged(load_preset(data["preset"], "tiers.preset").tiers, data)

    @model_validator(mode="after")
    def _order_is_of_tiers(self) -> TiersSection:
        if len(set(self.order)) != len(self.order) or not set(self.order) <= set(NAMES):
            raise ValueError(f"`order` = {self.order} is not of {', '.join(NAMES)}, each once")
        left_out = [name for name in NAMES if self.section(name) and name not in self.order]
        if left_out:
            raise ValueError(f"`order` lacks {left_out[0]}, which has capacity")
        if self.preset and not self.names():
            raise ValueError(f"preset {self.preset} has no default capacity: set dram.capacity")
        return self

    def section(self, name: str) -> TierSection | None:
        """Return a tier's table, None where it has no capacity."""
        tier: TierSection = getattr(self, name)
        return tier if tier.capacity or tier.hbm_ratio else None

    def names(self) -> list[str]:
        """Return the tiers that exist, the fastest first."""
        return [name for name in self.order if self.section(name)]


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with the values of `over` in their places, table by table."""
    out = dict(base)
    for key, value in over.items():
        below = out.get(key)
        both = isinstance(value, dict) and isinstance(below, dict) and "name" not in value
        out[key] = _merged(below, value) if both and below else value
    if "capacity" in over and "hbm_ratio" not in over:
        out.pop("hbm_ratio", None)
    return out
