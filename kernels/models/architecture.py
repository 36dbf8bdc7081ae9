"""What a model is made of: layers, their mixers and feed-forward parts, and their sizes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property

from tierlab.kernels.ops.routing import UNIFORM


@dataclass(frozen=True, slots=True)
class Attention:
    """Grouped-query attention (Ainslie et al., arXiv 2305.13245); `kv_heads` = `heads` is MHA.

    Attributes
    ----------
    heads, kv_heads, head_dim
        Query heads, KV heads, and elements of one head.
    window
        Keys that a query sees, itself included; 0 means all before it.
    qkv_bias, o_bias
        Whether the projections add a bias.
    qk_norm
        An RMSNorm over each query and key head, with one weight vector each (Qwen3, Gemma 3).
    sinks
        One learned logit a query head joins the softmax (gpt-oss); it stores no KV.
    rotary_dim
        Elements of a head that the rotary embedding turns; 0 where positions are learned.
    """

    heads: int
    kv_heads: int
    head_dim: int
    window: int = 0
    qkv_bias: bool = False
    o_bias: bool = False
    qk_norm: bool = False
    sinks: bool = False
    rotary_dim: int = 0


@dataclass(frozen=True, slots=True)
class MLA:
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434).

    Attributes
    ----------
    heads
        Query heads.
    q_lora_rank
        Width of the compressed query; 0 means that queries are projected directly.
    kv_lora_rank, qk_rope_dim
        What is cached per token: the latent and the shared rotary key.
    qk_nope_dim, v_head_dim
        Widths of a head's position-free key and of its value once expanded.
    qkv_a_bias, o_bias
        Whether the down-projections and the output projection add a bias.
    """

    heads: int
    q_lora_rank: int
    kv_lora_rank: int
    qk_nope_dim: int
    qk_rope_dim: int
    v_head_dim: int
    qkv_a_bias: bool = False
    o_bias: bool = False

    @property
    def qk_head_dim(self) -> int:
        """Width of an expanded query or key head."""
        return self.qk_nope_dim + self.qk_rope_dim


@dataclass(frozen=True, slots=True)
class Mamba2:
    """A Mamba-2 mixer (Dao and Gu, arXiv 2405.21060).

    Attributes
    ----------
    heads, head_dim, groups, state
        Heads, their width, groups that share B and C, and state elements per channel.
    conv_kernel, conv_bias, proj_bias
        The causal convolution's length, and which parts add a bias.
    chunk
        Tokens of one chunk of the prefill algorithm.
    state_bytes_per_element
        2.0 where the state is kept as vLLM's `mamba_ssm_cache_dtype = auto` does (the model's
        16-bit type), 4.0 where config.json asks for float32.
    """

    heads: int
    head_dim: int
    groups: int
    state: int
    conv_kernel: int
    conv_bias: bool = True
    proj_bias: bool = False
    chunk: int = 256
    state_bytes_per_element: float = 2.0

    @property
    def inner(self) -> int:
        """Channels, heads times head width."""
        return self.heads * self.head_dim


@dataclass(frozen=True, slots=True)
class Mlp:
    """A dense feed-forward part; `gated` has a gate beside the up projection (SwiGLU)."""

    intermediate: int
    gated: bool = True
    bias: bool = False


@dataclass(frozen=True, slots=True)
class Moe:
    """A mixture of experts.

    Attributes
    ----------
    experts, top_k, intermediate
        Routed experts, those that a token visits, and an expert's inner width.
    gated, bias
        As in `Mlp`, for every expert.
    router_bias
        The router's linear layer adds a bias (gpt-oss).
    correction_bias
        One float32 per expert shifts the choice only (DeepSeek-V3's `e_score_correction_bias`).
    shared
        The dense expert that every token visits too, or None.
    shared_gate
        The shared expert's output is scaled by a learned gate (Qwen2-MoE).
    routing
        How tokens choose experts, as in `ops.routing`: alike likely and independently, which
        losses or biases that balance load train routers for (arXiv 2101.03961, 2412.19437).
    """

    experts: int
    top_k: int
    intermediate: int
    gated: bool = True
    bias: bool = False
    router_bias: bool = False
    correction_bias: bool = False
    shared: Mlp | None = None
    shared_gate: bool = False
    routing: float = UNIFORM


Mixer = Attention | MLA | Mamba2
Ffn = Mlp | Moe


@dataclass(frozen=True, slots=True)
class Layer:
    """One residual layer: a sequence mixer, a feed-forward part, and its norms.

    Attributes
    ----------
    mixer, ffn
        None where the layer has no such part.
    norms
        Norms over the hidden width: 2 in most families, 4 where outputs are normed too (Gemma).
    """

    mixer: Mixer | None
    ffn: Ffn | None
    norms: int = 2


@dataclass(frozen=True)
class Model:
    """A decoder-only language model, as far as cost depends on it.

    Attributes
    ----------
    name
        The catalogue's name, or the file's.
    hidden, vocab
        Width of the residual stream; rows of the embedding table, padding included.
    max_position
        Tokens of context that config.json promises.
    tied_embeddings
        The output projection is the embedding table.
    layers
        One `Layer` each, in order.
    norm_bias
        Norms have a bias beside their weight (LayerNorm).
    learned_positions
        Rows of a learned position table; 0 where positions are rotary or absent.
    stored_weights
        The format that the published checkpoint is in: ``bf16``, ``fp8``, ``int4``, ``mxfp4``,
        ``nvfp4``.
    source
        Where config.json comes from.
    """

    name: str
    hidden: int
    vocab: int
    max_position: int
    tied_embeddings: bool
    layers: tuple[Layer, ...]
    norm_bias: bool = False
    learned_positions: int = 0
    stored_weights: str = "bf16"
    source: str = ""

    def shapes(self) -> tuple[tuple[Layer, int], ...]:
        """Return the distinct layers with their number, in order of first appearance."""
        return self._shapes

    @cached_property
    def _shapes(self) -> tuple[tuple[Layer, int], ...]:
        return tuple(Counter(self.layers).items())

    @cached_property
    def dense_shapes(self) -> tuple[tuple[Layer, int], ...]:
        """Distinct layers with their number, where windows make no difference."""
        return tuple(Counter(map(_unwindowed, self.layers)).items())

    @cached_property
    def routing(self) -> float | None:
        """How tokens choose experts (`ops.routing`), None where there are none."""
        return next((of.ffn.routing for of in self.layers if isinstance(of.ffn, Moe)), None)

    def routed(self, routing: float) -> Model:
        """Return the model whose tokens choose experts so (`ops.routing`); itself if they do."""
        if self.routing in (None, routing):
            return self
        layers = [
            replace(layer, ffn=replace(layer.ffn, routing=routing))
            if isinstance(layer.ffn, Moe)
            else layer
            for layer in self.layers
        ]
        return replace(self, layers=tuple(layers))

    def kv_tensors(self) -> int:
        """Return the tensors that hold a token's KV: keys and values of each layer, or a latent."""
        mixers = [layer.mixer for layer in self.layers]
        return sum(1 if isinstance(m, MLA) else 2 for m in mixers if isinstance(m, Attention | MLA))


def _unwindowed(layer: Layer) -> Layer:
    if isinstance(layer.mixer, Attention) and layer.mixer.window:
        return replace(layer, mixer=replace(layer.mixer, window=0))
    return layer
