"""A model as a list of operations, for many steps at once.

The kernels are those of vLLM 0.19 (V1 engine, `torch.compile`), named as its profile names them:

- one GEMM for query, key and value, one for gate and up;
- residual addition and norm are one kernel (`fused_add_rms_norm`), so are activation and
  product (`silu_and_mul`), and the rotary embedding of query and key;
- the KV write (`reshape_and_cache`) is a kernel of its own in each layer;
- experts are two grouped GEMMs, with the choice before and the weighted sum after;
- under tensor parallelism an all-reduce follows the embedding, the mixer and the
  feed-forward part, and logits are gathered.

Elementwise kernels carry their traffic in `bytes`, each operand counted once. With fp8 weights
activations are quantised inside the norm and activation kernels (assumption of 2026-11: vLLM's
`fuse_norm_quant` and `fuse_act_quant`), and the attention output by a kernel of its own. NVFP4's
products quantise their own input: so they were measured (aiconfigurator's `collect_gemm.py`).
A layer's repeats count layers of one shape. Sequences, tokens and logits may be 0 in some steps:
such steps get no rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tierlab.kernels.models.architecture import Mixer, Model
from tierlab.kernels.models.dense import add_layer
from tierlab.kernels.models.linears import Linear
from tierlab.kernels.models.part import Part, Tokens
from tierlab.kernels.models.rows import Rows
from tierlab.kernels.models.sequence import add_decode, add_prefill
from tierlab.kernels.models.weights import check_weights
from tierlab.kernels.ops.sampling import PASSES
from tierlab.kernels.ops.table import Work


def dense_work(
    model: Model,
    weights: str,
    tp: int,
    tokens: ArrayLike,
    logits: ArrayLike,
    sampling: str = "greedy",
) -> Work:
    """Return what depends on the number of tokens alone, for n steps.

    Parameters
    ----------
    model, tp
        The model, and the ranks that share each layer; rows are one rank's.
    weights
        One of `weights.WEIGHTS`.
    tokens
        int64[n], new tokens of all sequences, prefill and decode.
    logits
        int64[n], sequences that sample a token in the step.
    sampling
        How, one of `ops.sampling.PASSES`.

    Returns
    -------
    Work
        Embedding, projections, norms, feed-forward parts, all-reduces; output projection and
        sampling on `logits` rows.

    Raises
    ------
    BadInput
        As `weights.weight_bytes`.
    """
    check_weights(model, weights)
    m, sampled = np.broadcast_arrays(
        np.atleast_1d(np.asarray(tokens, np.int64)), np.asarray(logits, np.int64)
    )
    step = np.flatnonzero(m > 0)
    rows = Rows(step)
    _embedding(rows, model, tp, m[step])
    for layer, times in model.dense_shapes:
        add_layer(Part(rows, times, tp, weights), model, layer, m[step])
    _final_norm(rows, model, m[step])
    if not sampled.any():
        return rows.work()
    return Work.concat([rows.work(), _logits_work(model, tp, sampled, sampling)])


def decode_work(
    model: Model, tp: int, kv_dtype: str, batch: ArrayLike, kv_len: ArrayLike, spread: ArrayLike
) -> Work:
    """Return the sequence mixing of n decode batches, one new token a sequence.

    Parameters
    ----------
    kv_dtype
        How the KV cache is stored, one of `ops.table.DTYPES`.
    batch
        int64[n], sequences.
    kv_len
        float64[n], keys that a sequence's query sees, its own included: the mean of the batch.
    spread
        float64[n], (longest - mean) / mean of `kv_len`.

    Returns
    -------
    Work
        Attention and KV writes; MLA's absorbed projections; convolution and recurrence of
        Mamba-2.
    """
    sequences, length, wide = np.broadcast_arrays(
        np.atleast_1d(np.asarray(batch, np.int64)),
        np.asarray(kv_len, np.float64),
        np.asarray(spread, np.float64),
    )
    step = np.flatnonzero(sequences > 0)
    rows = Rows(step)
    for mixer, times in _mixers(model):
        part = Part(rows, times, tp, kv_dtype=kv_dtype)
        add_decode(part, mixer, sequences[step], length[step], wide[step])
    return rows.work()


def prefill_work(
    model: Model,
    tp: int,
    kv_dtype: str,
    q_len: ArrayLike,
    kv_len: ArrayLike,
    weights: str = "bf16",
) -> Work:
    """Return the sequence mixing of n prefill chunks, one sequence each.

    Parameters
    ----------
    q_len
        int64[n], new tokens.
    kv_len
        int64[n], keys that the last of them sees, itself included.
    weights
        The format of MLA's `kv_b`, which expands the latents of all `kv_len` keys again in
        every chunk; nothing else here reads weights.

    Returns
    -------
    Work
        Attention and KV writes; MLA's expansion; convolution and chunked scan of Mamba-2.
    """
    queries, keys = np.broadcast_arrays(
        np.atleast_1d(np.asarray(q_len, np.int64)), np.asarray(kv_len, np.int64)
    )
    step = np.flatnonzero(queries > 0)
    rows = Rows(step)
    for mixer, times in _mixers(model):
        part = Part(rows, times, tp, weights, kv_dtype)
        add_prefill(part, mixer, queries[step], keys[step])
    return rows.work()


def _mixers(model: Model) -> list[tuple[Mixer, int]]:
    """Return the distinct mixers with their number: layers may differ in their experts only."""
    found: dict[Mixer, int] = {}
    for layer, times in model.shapes():
        if layer.mixer is not None:
            found[layer.mixer] = found.get(layer.mixer, 0) + times
    return list(found.items())


def _embedding(rows: Rows, model: Model, tp: int, m: Tokens) -> None:
    """Token ids (int64) in, one row of the table (and of positions) in, one row out."""
    tables = 2 if model.learned_positions else 1
    part = Part(rows, 1, tp)
    part.elementwise(m, model.hidden, 8.0 + 2.0 * model.hidden * (tables + 1))
    part.all_reduce(m, model.hidden)


def _final_norm(rows: Rows, model: Model, m: Tokens) -> None:
    constant = 2.0 * model.hidden * (1 + model.norm_bias)
    Part(rows, 1, 1).elementwise(m, model.hidden, 8.0 * model.hidden, constant)


def _logits_work(model: Model, tp: int, count: Tokens, sampling: str) -> Work:
    """Gather the rows that sample, project them, widen logits to float32, sample.

    Widening is PyTorch's flat copy: it knows no rows, and a single one fills all SMs.
    """
    step = np.flatnonzero(count > 0)
    m, vocab = count[step], -(-model.vocab // tp)
    part = Part(Rows(step), 1, tp)
    part.elementwise(m, model.hidden, 4.0 * model.hidden)
    part.gemm(Linear("lm_head", (vocab,), model.hidden), m)
    if tp > 1:
        part.add("all_gather", devices=tp, bytes=m * (2.0 * vocab))
    part.add("elementwise", n=model.vocab, bytes=m * (6.0 * model.vocab))
    part.rows.add("sample", "fp32", "none", 1, m=m, n=model.vocab, k=PASSES[sampling])
    return part.rows.work()
