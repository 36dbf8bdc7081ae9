"""What the readers of several families share."""

from __future__ import annotations

from tierlab.kernels.models.architecture import Attention, Layer, Mlp, Model
from tierlab.kernels.models.config import Config

_METHODS = {"fp8": "fp8", "mxfp4": "mxfp4"}
_NVFP4 = "nvfp4-pack-quantized"
"""What compressed-tensors calls it."""
_BY_BITS = ("awq", "gptq", "compressed-tensors")
_WIDTHS = {4: "int4", 8: "fp8"}
_MODELOPT = {"NVFP4": "nvfp4", "FP8": "fp8"}
"""Model Optimizer's ``quant_algo``."""


def attention(
    config: Config,
    *,
    window: int = 0,
    qkv_bias: bool = False,
    o_bias: bool = False,
    qk_norm: bool = False,
    sinks: bool = False,
    head_dim: int | None = None,
) -> Attention:
    """Read grouped-query attention with rotary positions.

    Raises
    ------
    BadInput
        Query heads are no multiple of KV heads, or heads do not divide the hidden size where
        `head_dim` is not given.
    """
    heads = config.count("num_attention_heads")
    kv_heads = config.count("num_key_value_heads", default=heads)
    check_groups(config, heads, kv_heads, "num_key_value_heads")
    width = config.count("head_dim", default=head_dim or even_head_dim(config, heads))
    rotary = round(width * config.fraction("partial_rotary_factor", 1.0))
    return Attention(heads, kv_heads, width, window, qkv_bias, o_bias, qk_norm, sinks, rotary)


def check_groups(config: Config, heads: int, kv_heads: int, key: str) -> None:
    """Refuse query heads that KV heads cannot share evenly.

    Raises
    ------
    BadInput
        `kv_heads` does not divide `heads`.
    """
    if heads % kv_heads:
        raise config.bad(
            key, f"{kv_heads} KV heads do not divide {heads} query heads", f"a divisor of {heads}"
        )


def even_head_dim(config: Config, heads: int) -> int:
    """Return the hidden size over the heads.

    Raises
    ------
    BadInput
        It is no whole number and config.json names no `head_dim`.
    """
    hidden = config.count("hidden_size")
    if config.has("head_dim"):
        return config.count("head_dim")
    if hidden % heads:
        raise config.bad(
            "num_attention_heads",
            f"{heads} heads do not divide hidden size {hidden}",
            f"a divisor of {hidden}, or an explicit head_dim",
        )
    return hidden // heads


def gated_mlp(config: Config, *, bias: bool = False) -> Mlp:
    """Read a SwiGLU-like feed-forward part."""
    return Mlp(config.count("intermediate_size"), gated=True, bias=bias)


def windows(config: Config, layers: int, default: tuple[bool, ...]) -> tuple[int, ...]:
    """Return the window of each layer, 0 for full attention.

    `layer_types` decides where it is given, `default` (whether a layer is windowed) elsewhere.

    Raises
    ------
    BadInput
        `layer_types` has the wrong length or an unknown word, or the window is missing.
    """
    kinds = layer_types(config, layers, ("full_attention", "sliding_attention"))
    windowed = tuple(k == "sliding_attention" for k in kinds) if kinds else default
    if not any(windowed):
        return (0,) * layers
    width = config.count("sliding_window")
    return tuple(width if yes else 0 for yes in windowed)


def layer_types(config: Config, layers: int, accepted: tuple[str, ...]) -> tuple[str, ...]:
    """Return `layer_types`, empty where it is missing.

    Raises
    ------
    BadInput
        Its length is not the number of layers, or it holds a word not in `accepted`.
    """
    kinds = config.texts("layer_types")
    if kinds and len(kinds) != layers:
        raise config.bad(
            "layer_types", f"has {len(kinds)} entries for {layers} layers", f"{layers} entries"
        )
    for kind in kinds:
        if kind not in accepted:
            raise config.bad("layer_types", f"holds {kind!r}", ", ".join(accepted))
    return kinds


def uniform(config: Config, layer: Layer) -> tuple[Layer, ...]:
    """Return `num_hidden_layers` times the same layer."""
    return (layer,) * config.count("num_hidden_layers")


def model(config: Config, layers: tuple[Layer, ...], *, tied: bool = False) -> Model:
    """Assemble a model with RMSNorm and rotary positions; `tied` is the family's default."""
    return Model(
        name=config.where,
        hidden=config.count("hidden_size"),
        vocab=config.count("vocab_size"),
        max_position=config.count("max_position_embeddings"),
        tied_embeddings=config.flag("tie_word_embeddings", tied),
        layers=layers,
        stored_weights=stored_weights(config),
    )


def stored_weights(config: Config) -> str:
    """Return the checkpoint's weight format from `quantization_config`.

    Raises
    ------
    BadInput
        It names a method or a width that has no counterpart here.
    """
    quantised = config.section("quantization_config")
    method = quantised.text("quant_method")
    if method == "modelopt":
        return _modelopt(quantised)
    if not method or method in _METHODS:
        return _METHODS.get(method, "bf16")
    if method not in _BY_BITS:
        raise quantised.bad(
            "quant_method",
            f"unknown value {method!r}",
            ", ".join((*_METHODS, "modelopt", *_BY_BITS)),
        )
    if method == "compressed-tensors" and quantised.text("format") == _NVFP4:
        return "nvfp4"
    bits = _bits(quantised, method)
    if bits not in _WIDTHS:
        raise quantised.bad("bits", f"{bits}-bit weights", "4, 8")
    return _WIDTHS[bits]


def _modelopt(quantised: Config) -> str:
    algorithm = quantised.text("quant_algo")
    if algorithm not in _MODELOPT:
        raise quantised.bad("quant_algo", f"unknown value {algorithm!r}", ", ".join(_MODELOPT))
    return _MODELOPT[algorithm]


def _bits(quantised: Config, method: str) -> int:
    if method != "compressed-tensors":
        return quantised.count("bits")
    groups = quantised.section("config_groups")
    first = groups.section(next(iter(groups.keys), "group_0"))
    return first.section("weights").count("num_bits")


def top_k(config: Config, experts: int, *names: str) -> int:
    """Return the experts that a token visits.

    Raises
    ------
    BadInput
        They are more than there are.
    """
    visited = config.count(*names)
    if visited > experts:
        raise config.bad(names[0], f"{visited} of {experts} experts", f"1 to {experts}")
    return visited
