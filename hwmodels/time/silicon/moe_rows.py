"""Rows of public MoE tables that are not what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tierlab.hwmodels.time.silicon.moe_layer import UNGATED

if TYPE_CHECKING:
    import polars as pl

_UNROUTED = "vllm_fused_moe"
"""The collector of vLLM 0.14 hands its experts to this kernel; later ones hand logits to a router
(ai-dynamo/aiconfigurator, ``collector/vllm/collect_moe.py``)."""
_SGLANG = "sglang_"
"""SGLang's kernels are given which experts to visit: 32 tokens, dealt out evenly, take A100 3.5 ms
in 4 bits, in which all 256 experts of DeepSeek-V3 are 5.9 GB."""


def unsound() -> pl.Expr:
    """Say which rows are left out."""
    return _tied() | _gated_after_all() | _interrupted()


def _tied() -> pl.Expr:
    """Say which rows read half of the experts that they should.

    The collector's logits are alike for all experts that it chose. vLLM's router first takes 4 of
    DeepSeek-V3's 8 groups: always the same, and the other four experts of a token are the same too.
    """
    import polars as pl

    deepseek = {"num_experts": 256, "topk": 8, "hidden_size": 7168, "inter_size": 2048}
    alike = [pl.col(name) == value for name, value in deepseek.items()]
    kernel = pl.col("kernel_source")
    routed = ~kernel.str.starts_with(_SGLANG) & (kernel != _UNROUTED)
    return pl.all_horizontal(alike) & routed


def _gated_after_all() -> pl.Expr:
    """Say which rows have a gate that their model has not.

    The collector of vLLM 0.14 makes the first product twice as wide for every model: Nemotron 3's
    layers take half as long again as they are.
    """
    import polars as pl

    alike = [(pl.col("num_experts") == e) & (pl.col("topk") == k) for e, k in UNGATED]
    return pl.any_horizontal(alike) & (pl.col("kernel_source") == _UNROUTED)


def _interrupted() -> pl.Expr:
    """Say which rows of NVFP4 take twice as long as with fewer and with more tokens.

    Four of 8,100 do (by CUTLASS, 4 tokens 1,647 us, between 69 of 2 and 142 of 8).
    Fits of the other types are older than this rule.
    """
    import polars as pl

    shape = [
        "kernel_source", "hidden_size", "inter_size", "topk", "num_experts", "moe_tp_size",
        "distribution",
    ]  # fmt: skip
    beside = [
        pl.col("latency").shift(by).over([*shape, "moe_dtype"], order_by="num_tokens")
        for by in (1, -1)
    ]
    longer = [(pl.col("latency") > 2.0 * other).fill_null(value=False) for other in beside]
    return pl.all_horizontal(pl.col("moe_dtype") == "nvfp4", *longer)
