"""A profile of one model's kernels as measurements of operations.

The folder is LLMServingSim's (casys-kaist/LLMServingSim, MIT; `hwmodels.time.profile` says what its
files hold), with ``profile_meta.yaml``, which names the model: its shapes give each kernel its
sizes. Attention is taken where prefill or decodes run alone. The sampler is left out: it holds
several operations.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.silicon.measured import KernelKey, Measured
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
    parts |= {"decode_attention": decode, "prefill_attention": prefill}
    made = []
    for op, (ops, seconds) in parts.items():
        stored = "none" if op == "elementwise" else "bf16"
        key = KernelKey(op, "bf16", stored, "vllm", meta["vllm_version"], KERNELS[op])
        source = f"LLMServingSim profile {folder.name} (MIT), {meta['gpu']}"
        made.append(Measured(key, source, ops, seconds))
    return made


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


def _table(path: Path, columns: tuple[str, ...]) -> list[tuple[str, ...]]:
    with_head = list(csv.reader(read_text(path, str(path)).splitlines()))
    head = with_head[0] if with_head else []
    for name in columns:
        if name not in head:
            raise BadInput(f"{path}:1", f"no column {name!r}", ", ".join(columns))
    place = [head.index(c) for c in columns]
    rows = []
    for number, cells in enumerate(with_head[1:], 2):
        if len(cells) != len(head):
            raise BadInput(f"{path}:{number}", f"{len(cells)} cells", f"{len(head)} cells")
        rows.append(tuple(cells[i] for i in place))
    return rows


def _number(path: Path, line: int, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value) or value < 0 or (name == "time_us" and value == 0):
        raise BadInput(f"{path}:{line}", f"{name} is {text!r}", "a finite number, not negative")
    return value


def _dense(folder: Path, model: Model) -> dict[str, tuple[OpTable, Floats]]:
    """Return GEMMs and elementwise kernels."""
    found: dict[str, list[tuple[OpTable, float]]] = {"gemm": [], "elementwise": []}
    for file, count in (("dense.csv", "tokens"), ("per_sequence.csv", "sequences")):
        path = folder / file
        for line, row in enumerate(_table(path, ("layer", count, "time_us")), 2):
            known = HEAD if count == "sequences" else row[0]
            if row[0] != known or (count == "tokens" and row[0] not in LAYERS):
                continue
            m = _number(path, line, count, row[1])
            ops = _layers(model, m, path)[row[0]]
            found[OPS[ops.op[0]]].append((ops, _number(path, line, "time_us", row[2]) * 1e-6))
    return {
        op: (OpTable.concat(o for o, _ in rows), np.array([s for _, s in rows]))
        for op, rows in found.items()
    }


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
    lines = enumerate(_table(path, _ATTENTION), 2)
    cells = [
        [_number(path, i, n, v) for n, v in zip(_ATTENTION, row, strict=True)] for i, row in lines
    ]
    chunk, past, decodes, keys, us = np.array(cells).reshape(-1, len(_ATTENTION)).T
    alone, first = (chunk == 0) & (decodes > 0), (decodes == 0) & (chunk > 0)
    heads = {"heads": mixer.heads, "kv_heads": mixer.kv_heads, "head_dim": mixer.head_dim}
    decode = OpTable.build(
        "decode_attention", "bf16", "bf16", batch=decodes[alone], q_len=1, kv_len=keys[alone],
        **heads,
    )  # fmt: skip
    prefill = OpTable.build(
        "prefill_attention", "bf16", "bf16", batch=1, q_len=chunk[first],
        kv_len=chunk[first] + past[first], **heads,
    )  # fmt: skip
    return (decode, us[alone] * 1e-6), (prefill, us[first] * 1e-6)
