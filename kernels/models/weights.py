"""Parameters, and the bytes that a rank holds of them in each weight format.

What a format leaves in 16 bits, after the published checkpoints: embeddings, the output
projection, norms, biases, routers, convolutions, learned positions and sinks. In 32 bits:
DeepSeek-V3's score-correction bias.

========  =============================================================================
format    every other matrix
========  =============================================================================
bf16      2 bytes
fp8       1 byte, and one float32 scale per block of 128 x 128 (DeepSeek-V3's
          ``weight_block_size``, github.com/deepseek-ai/DeepSeek-V3 README_WEIGHTS.md)
int4      half a byte, and per group of 128 inputs and output a float16 scale and a 4-bit
          zero point (AWQ, arXiv 2306.00978, ``qweight``, ``scales``, ``qzeros``)
mxfp4     routed experts only: half a byte, and one byte of scale (E8M0) per 32 inputs
          (OCP Microscaling Formats v1.0; gpt-oss, arXiv 2508.10925, section 2)
nvfp4     half a byte, one byte of scale (E4M3) per 16 inputs and one float32 a matrix
          (``NVFP4_DEFAULT_CFG`` of NVIDIA/Model-Optimizer: all linear layers but routers
          and the output projection; of MLA the output alone, its
          ``examples/deepseek/ptq.py``); products multiply in 4 bits, too
========  =============================================================================

Not counted: what an engine derives after loading (vLLM keeps a bf16 copy of MLA's `kv_b`
for its absorbed form, and pads vocabularies and MXFP4 widths).
"""

from __future__ import annotations

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.models.architecture import MLA, Attention, Layer, Mamba2, Model, Moe
from tierlab.kernels.models.linears import (
    Linear,
    ffn_linears,
    mixer_linears,
    shard,
    shard_groups,
)

WEIGHTS = ("bf16", "fp8", "int4", "mxfp4", "nvfp4")

_STORED = {"nvfp4": "fp4"}
_COMPUTED = {"fp8": "fp8", "nvfp4": "fp4"}
_LATENT = ("q", "q_b", "kv_a", "qkv_a", "kv_b")
"""MLA's linear layers that NVFP4 leaves in 16 bits."""


def layer_linears(model: Model, layer: Layer, tp: int = 1) -> tuple[Linear, ...]:
    """Return a layer's linear layers on one rank of `tp`."""
    return mixer_linears(layer.mixer, model.hidden, tp) + ffn_linears(layer.ffn, model.hidden, tp)


def parameters(model: Model) -> int:
    """Return the number of parameters, as safetensors files of the checkpoint count them."""
    return _outer(model, 1) + sum(
        times * (_small(model, layer, 1) + sum(w.parameters for w in layer_linears(model, layer)))
        for layer, times in model.shapes()
    )


def active_parameters(model: Model) -> int:
    """Return the parameters that one token's forward pass multiplies with.

    Experts that it does not visit, and an untied embedding table, which is only looked up, are
    left out: the convention of gpt-oss's model card (arXiv 2508.10925, Table 1).
    """
    unused = 0 if model.tied_embeddings else model.vocab * model.hidden
    for layer, times in model.shapes():
        if isinstance(layer.ffn, Moe):
            experts = [w for w in ffn_linears(layer.ffn, model.hidden, 1) if w.experts]
            share = 1 - layer.ffn.top_k / layer.ffn.experts
            unused += times * round(share * sum(w.parameters for w in experts))
    return parameters(model) - unused


def weight_bytes(model: Model, weights: str, tp: int = 1) -> float:
    """Return the bytes of weights on one rank of `tp`.

    Parameters
    ----------
    weights
        One of `WEIGHTS`.
    tp
        Ranks of tensor parallelism.

    Raises
    ------
    BadInput
        The format is unknown, is MXFP4 for a model without experts, or `tp` does not divide
        the model's widths.
    """
    check_weights(model, weights)
    total = 2.0 * _outer(model, tp)
    for layer, times in model.shapes():
        inner = 2.0 * _small(model, layer, tp) + 2.0 * _correction(layer)
        inner += sum(linear_bytes(w, weights) for w in layer_linears(model, layer, tp))
        total += times * inner
    return total


def check_weights(model: Model, weights: str, where: str = "weights") -> None:
    """Refuse a weight format that does not exist or does not fit the model.

    Raises
    ------
    BadInput
        As `weight_bytes`.
    """
    if weights not in WEIGHTS:
        raise BadInput(where, f"unknown weight format {weights!r}", ", ".join(WEIGHTS))
    if weights == "mxfp4" and not any(isinstance(layer.ffn, Moe) for layer in model.layers):
        others = ", ".join(name for name in WEIGHTS if name != "mxfp4")
        raise BadInput(where, f"mxfp4 stores experts, and {model.name} has none", others)


def stored_as(linear: Linear, weights: str) -> str:
    """Return the type (of `ops.table.DTYPES`) that a linear layer's weights are stored in."""
    if weights == "mxfp4":
        return "fp4" if linear.experts else "bf16"
    return _STORED.get(weights, weights) if _narrow(linear, weights) else "bf16"


def computed_in(linear: Linear, weights: str) -> str:
    """Return the type that a linear layer multiplies in; weights alone are narrower elsewhere."""
    return _COMPUTED.get(weights, "bf16") if _narrow(linear, weights) else "bf16"


def _narrow(linear: Linear, weights: str) -> bool:
    return linear.quantised and not (weights == "nvfp4" and linear.name in _LATENT)


def linear_bytes(linear: Linear, weights: str) -> float:
    """Return the bytes of a linear layer in a weight format, scales and biases included."""
    kind = stored_as(linear, weights)
    kind = weights if weights == "nvfp4" and kind == "fp4" else kind
    one = 2.0 * linear.bias + sum(_matrix_bytes(n, linear.k, kind) for n in linear.parts)
    return one * max(linear.experts, 1)


def _matrix_bytes(n: int, k: int, kind: str) -> float:
    if kind == "fp8":
        return n * k + 4.0 * -(-n // 128) * -(-k // 128)
    if kind == "int4":
        return 0.5 * n * k + 2.5 * n * -(-k // 128)
    if kind == "fp4":
        return 0.5 * n * k + 1.0 * n * -(-k // 32)
    if kind == "nvfp4":
        return 0.5 * n * k + 1.0 * n * -(-k // 16) + 4.0
    return 2.0 * n * k


def _outer(model: Model, tp: int) -> int:
    """Elements outside the layers: embeddings, positions, final norm."""
    table = -(-model.vocab // tp) * model.hidden
    tables = table if model.tied_embeddings else 2 * table
    return tables + (model.learned_positions + 1 + model.norm_bias) * model.hidden


def _small(model: Model, layer: Layer, tp: int) -> int:
    """Elements of a layer that no GEMM multiplies: norms, sinks, convolutions, state."""
    found = layer.norms * (1 + model.norm_bias) * model.hidden + _correction(layer)
    mixer = layer.mixer
    if isinstance(mixer, Attention):
        found += 2 * mixer.head_dim * mixer.qk_norm
        found += shard(mixer.heads, tp, "query heads") * mixer.sinks
    if isinstance(mixer, MLA):
        found += mixer.q_lora_rank + mixer.kv_lora_rank
    if isinstance(mixer, Mamba2):
        heads = shard(mixer.heads, tp, "Mamba heads")
        channels = conv_channels(mixer, tp)
        found += channels * (mixer.conv_kernel + mixer.conv_bias)
        found += 3 * heads + heads * mixer.head_dim
    return found


def conv_channels(mixer: Mamba2, tp: int) -> int:
    """Return the channels that the convolution of one rank runs over: x, B and C."""
    inner = shard(mixer.heads, tp, "Mamba heads") * mixer.head_dim
    return inner + 2 * shard_groups(mixer.groups, tp) * mixer.state


def _correction(layer: Layer) -> int:
    moe = layer.ffn
    return moe.experts if isinstance(moe, Moe) and moe.correction_bias else 0
