"""A profile of one model's kernels as measurements of operations.

The folder is LLMServingSim's (casys-kaist/LLMServingSim, MIT; `hwmodels.time.profile` says what its
files hold), with ``profile_meta.yaml``, which names the model: its shapes give each kernel its
sizes. Attention is taken where prefill or decodes run alone, and ragged decode batches where there
is a ``skew.csv`` (`profiledragged`). The sampler's times hold the widening of the logits, an
operation of its own in a step: they are taken apart (docs/decisions/0011-sampler-apart.md).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.profilecsv import read_rows, usable
from tierlab.hwmodels.time.silicon.fit import FEWEST
from tierlab.hwmodels.time.silicon.measured import Beside, KernelKey, Measured
from tierlab.hwmodels.time.silicon.profiledragged import OWN, SKEW, read_ragged
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import read_text
from tierlab.kernels.models.architecture import Attention, Model
from tierlab.kernels.models.load import load_model
from tierlab.kernels.models.step import dense_work
from tierlab.kernels.ops.table import OPS, OpTable

Floats = NDArray[np.float64]
META = "profile_meta.yaml"
LAYERS = (
    "embedding", "layernorm", "layernorm", "qkv_proj", "rotary_emb", "o_proj", "gate_up_proj",
    "act_fn", "down_proj", "final_layernorm",
)  # fmt: skip
"""The profile's names of the rows of `dense_work`, in their order."""
HEAD = "lm_head"
SAMPLER = "sampler"
KERNELS = {
    "gemm": "torch.nn.functional.linear", "elementwise": "vllm",
    "decode_attention": "flash_attn", "prefill_attention": "flash_attn",
}  # fmt: skip
_ATTENTION = ("prefill_chunk", "kv_prefill", "n_decode", "kv_decode", "time_us")


def read_profile(folder: Path, where: str) -> list[Measured]:
    """Read a profile as measured operations, one part a kernel.

    Raises
    ------
    BadInput
        A file, column or key is missing, a time is no positive number, or the model's layers are
        not attention with a dense feed-forward part.
    """
    meta = _meta(folder / META, where)
    model = load_model(meta["model"].rpartition("/")[2], str(folder / META))
    parts = _dense(folder, model)
    decode, prefill = _attention(folder / "attention.csv", model)
    if (folder / SKEW).exists():
        ragged = read_ragged(folder / SKEW, *decode)
        decode = OpTable.concat([decode[0], ragged[0]]), np.concatenate([decode[1], ragged[1]])
    parts |= {"decode_attention": decode, "prefill_attention": prefill}
    made = {}
    source = f"LLMServingSim profile {folder.name} (MIT), {meta['gpu']}"
    for op, (ops, seconds) in parts.items():
        stored = "none" if op == "elementwise" else "bf16"
        key = KernelKey(op, "bf16", stored, "vllm", meta["vllm_version"], KERNELS[op])
        made[op] = Measured(key, source, ops, seconds)
    sampler = _sampler(folder, model, made["elementwise"])
    return [*made.values(), *([sampler] if len(sampler) >= FEWEST else [])]


def profiled_gpu(folder: Path, where: str) -> str:
    """Return the GPU that a profile says it is of."""
    return _meta(folder / META, where)["gpu"]


def _meta(path: Path, where: str) -> dict[str, str]:
    """Return the top level's texts: one key a line."""
    found: dict[str, str] = {}
    for line in read_text(path, where).splitlines():
        key, colon, value = line.partition(":")
        if colon and value.strip() and not key.startswith((" ", "#")):
            found[key] = value.strip().strip("'\"")
    for key in ("gpu", "model", "vllm_version"):
        if key not in found:
            raise BadInput(str(path), f"key {key!r} is missing", f"{key}: ...")
    return found


def _number(row: dict[str, str], column: str, where: str) -> float:
    value = usable(row[column], column)
    if value is None:
        what = f"{column} is {row[column]!r}"
        raise BadInput(where, what, "a finite number, not negative")
    return value


def _dense(folder: Path, model: Model) -> dict[str, tuple[OpTable, Floats]]:
    """Return GEMMs and elementwise kernels."""
    found: dict[str, list[tuple[OpTable, float]]] = {"gemm": [], "elementwise": []}
    for file, count in (("dense.csv", "tokens"), ("per_sequence.csv", "sequences")):
        path = folder / file
        for line, row in enumerate(read_rows(path, ("layer", count, "time_us"), str(path)), 2):
            layer, spot = row["layer"], f"{path}:{line}"
            if layer not in (LAYERS if count == "tokens" else (HEAD,)):
                continue
            ops = _layers(model, _number(row, count, spot), path)[layer]
            found[OPS[ops.op[0]]].append((ops, _number(row, "time_us", spot) * 1e-6))
    return {
        op: (OpTable.concat(o for o, _ in rows), np.array([s for _, s in rows]))
        for op, rows in found.items()
    }


def _sampler(folder: Path, model: Model, moves: Measured) -> Measured:
    """Return greedy sampling with the widening before it, whose kind `moves` was measured of."""
    path = folder / "per_sequence.csv"
    lines = enumerate(read_rows(path, ("layer", "sequences", "time_us"), str(path)), 2)
    cells = [
        (_number(row, "sequences", f"{path}:{i}"), _number(row, "time_us", f"{path}:{i}"))
        for i, row in lines
        if row["layer"] == SAMPLER
    ]
    count, us = np.array(cells).reshape(-1, 2).T
    ops = dense_work(model, "bf16", 1, 0, count).ops
    widened = np.flatnonzero(ops.op == OPS.index("elementwise"))[len(count) :]
    chosen = ops.take(ops.op == OPS.index("sample"))
    key = KernelKey("sample", "fp32", "none", "vllm", moves.key.version, "vllm")
    return Measured(key, moves.source, chosen, us * 1e-6, Beside(ops.take(widened), moves))


def _layers(model: Model, tokens: float, path: Path) -> dict[str, OpTable]:
    """Return the operation behind each of the profile's names."""
    ops = dense_work(model, "bf16", 1, int(tokens), 0).ops
    logits = dense_work(model, "bf16", 1, 0, int(tokens)).ops
    if len(ops) != len(LAYERS) or len(model.shapes()) != 1:
        raise BadInput(str(path), "a model of other layers", "attention and a dense MLP, all alike")
    named = {name: ops.take(np.array([i])) for i, name in enumerate(LAYERS)}
    head = np.flatnonzero(logits.op == OPS.index("gemm"))
    return named | {HEAD: logits.take(head)}


def _attention(path: Path, model: Model) -> tuple[tuple[OpTable, Floats], tuple[OpTable, Floats]]:
    """Return decodes alone, and chunks alone."""
    mixer = model.layers[0].mixer
    if not isinstance(mixer, Attention):
        raise BadInput(str(path), "the model has no plain attention", "heads and KV heads")
    lines = enumerate(read_rows(path, _ATTENTION, str(path)), 2)
    cells = [[_number(row, name, f"{path}:{i}") for name in _ATTENTION] for i, row in lines]
    chunk, past, decodes, keys, us = np.array(cells).reshape(-1, len(_ATTENTION)).T
    alone, first = (chunk == 0) & (decodes > 0), (decodes == 0) & (chunk > 0)
    heads = {"heads": mixer.heads, "kv_heads": mixer.kv_heads, "head_dim": mixer.head_dim}
    decode = OpTable.build(
        "decode_attention", "bf16", "bf16", batch=decodes[alone], q_len=1,
        kv_len=keys[alone] + OWN,
        **heads,
    )  # fmt: skip
    prefill = OpTable.build(
        "prefill_attention", "bf16", "bf16", batch=1, q_len=chunk[first],
        kv_len=chunk[first] + past[first], **heads,
    )  # fmt: skip
    return (decode, us[alone] * 1e-6), (prefill, us[first] * 1e-6)
