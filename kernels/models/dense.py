"""The operations of one layer that depend on the number of tokens alone."""

from __future__ import annotations

from tierlab.kernels.models.architecture import MLA, Attention, Layer, Mixer, Mlp, Model, Moe
from tierlab.kernels.models.linears import Linear, ffn_linears, mixer_linears, shard, shard_kv
from tierlab.kernels.models.part import Part, Tokens


def add_layer(part: Part, model: Model, layer: Layer, m: Tokens) -> None:
    """Add the rows of layers of one shape, for m int64[s] tokens a step."""
    for _ in range(layer.norms):
        _norm(part, model, m)
    if layer.mixer is not None:
        _mixer(part, layer.mixer, model.hidden, m)
        part.all_reduce(m, model.hidden)
    if layer.ffn is not None:
        _ffn(part, layer.ffn, model.hidden, m)
        part.all_reduce(m, model.hidden)


def _norm(part: Part, model: Model, m: Tokens) -> None:
    """Input and residual in; their sum and its norm out."""
    row = model.hidden * (6.0 + part.activation_bytes)
    part.elementwise(m, model.hidden, row, 2.0 * model.hidden * (1 + model.norm_bias))


def _mixer(part: Part, mixer: Mixer, hidden: int, m: Tokens) -> None:
    linears = {linear.name: linear for linear in mixer_linears(mixer, hidden, part.tp)}
    if isinstance(mixer, Attention):
        part.gemm(linears["qkv"], m)
        _qk(part, mixer, m)
    elif isinstance(mixer, MLA):
        _latents(part, mixer, linears, m)
    else:
        part.gemm(linears["in"], m)
        inner = linears["out"].k
        part.elementwise(m, inner, inner * (4.0 + part.activation_bytes), 2.0 * inner)
        part.gemm(linears["out"], m)
        return
    if part.weights == "fp8":
        part.elementwise(m, linears["o"].k, 3.0 * linears["o"].k)
    part.gemm(linears["o"], m)


def _qk(part: Part, mixer: Attention, m: Tokens) -> None:
    """Norm and rotate query and key in place, one kernel each."""
    heads = shard(mixer.heads, part.tp, "query heads") + shard_kv(mixer.kv_heads, part.tp)
    if mixer.qk_norm:
        width = heads * mixer.head_dim
        part.elementwise(m, width, 4.0 * width, 4.0 * mixer.head_dim)
    if mixer.rotary_dim:
        _rotate(part, heads, mixer.rotary_dim, m)


def _rotate(part: Part, heads: int, width: int, m: Tokens) -> None:
    """Turn `width` elements of each head in place, by one row of sines and cosines a token."""
    part.elementwise(m, heads * width, 4.0 * heads * width + 2.0 * width)


def _latents(part: Part, mixer: MLA, linears: dict[str, Linear], m: Tokens) -> None:
    """Project and norm MLA's latents; `kv_b` is left to `sequence`."""
    if mixer.q_lora_rank:
        part.gemm(linears["qkv_a"], m)
        latent = mixer.q_lora_rank + mixer.kv_lora_rank
        part.elementwise(m, latent, 4.0 * latent, 2.0 * latent)
        part.gemm(linears["q_b"], m)
    else:
        part.gemm(linears["q"], m)
        part.gemm(linears["kv_a"], m)
        part.elementwise(m, mixer.kv_lora_rank, 4.0 * mixer.kv_lora_rank, 2.0 * mixer.kv_lora_rank)
    _rotate(part, shard(mixer.heads, part.tp, "query heads") + 1, mixer.qk_rope_dim, m)


def _ffn(part: Part, ffn: Mlp | Moe, hidden: int, m: Tokens) -> None:
    linears = ffn_linears(ffn, hidden, part.tp)
    if isinstance(ffn, Mlp):
        _dense(part, linears[0], linears[1], m)
    else:
        _experts(part, ffn, linears, m)


def _dense(part: Part, up: Linear, down: Linear, m: Tokens) -> None:
    part.gemm(up, m)
    part.elementwise(m, down.k, _activation_bytes(part, up, down))
    part.gemm(down, m)


def _experts(part: Part, moe: Moe, linears: tuple[Linear, ...], m: Tokens) -> None:
    """Route (logits in, ids and float32 weights out), two grouped GEMMs, weighted sum."""
    router, up, down, *shared = linears
    hidden = down.n
    part.gemm(router, m)
    inside = {"experts": moe.experts}
    part.elementwise(m, moe.top_k, 2.0 * moe.experts + 8.0 * moe.top_k, **inside)
    part.grouped(up, m, moe.top_k, moe.routing)
    activation = moe.top_k * _activation_bytes(part, up, down)
    part.elementwise(m, moe.top_k * down.k, activation, **inside)
    part.grouped(down, m, moe.top_k, moe.routing)
    part.elementwise(m, hidden, 2.0 * hidden * (moe.top_k + 1), **inside)
    if shared:
        _dense(part, shared[0], shared[1], m)
        part.elementwise(m, hidden, 6.0 * hidden)
    for gate in shared[2:]:
        part.gemm(gate, m)


def _activation_bytes(part: Part, up: Linear, down: Linear) -> float:
    """Gate and up in, their product out, per row."""
    return 2.0 * up.n + part.activation_bytes * down.k
