"""Public silicon tables beyond plain attention and GEMM (aiconfigurator-core, Apache-2.0).

One reader a table, each a function of its rows to operations and seconds. A MoE table times a
whole layer; its products share the time as they share the work, two to one with a gate. Only rows
with all experts on one device are read, of every routing. Recurrent tables are gated delta rule's.
Collectives are vLLM's own all-reduce as replayed from a graph, and NCCL, which has no framework;
selection is SGLang's, whose kernel vLLM took over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.silicon import moe_rows
from tierlab.hwmodels.time.silicon.aiconfigurator import (
    DTYPES,
    PACKAGE,
    newest,
    read_system,
    tables_root,
)
from tierlab.hwmodels.time.silicon.aliases import SELECT_PASSES
from tierlab.hwmodels.time.silicon.measured import KernelKey, Measured
from tierlab.hwmodels.time.silicon.moe_layer import gated
from tierlab.kernels.ops.routing import EVEN
from tierlab.kernels.ops.table import OpTable

if TYPE_CHECKING:
    import polars as pl

Floats = NDArray[np.float64]
LATENT, ROTARY, NOPE, VALUE = 512.0, 64.0, 128.0, 128.0
"""DeepSeek-V3's MLA, which every public MLA table is of."""
_MOE_DTYPES = {
    "bfloat16": ("bf16", "bf16"), "fp8": ("fp8", "fp8"), "fp8_block": ("fp8", "fp8"),
    "w4a16_mxfp4": ("bf16", "fp4"), "int4_wo": ("bf16", "int4"),
    "nvfp4": ("fp4", "fp4"), "w4a8_mxfp4_mxfp8": ("fp8", "fp4"),
}  # fmt: skip
"""Their name -> what is multiplied, and what is stored."""
_POWER_LAW = "power_law_"
"""Before the exponent, in a table's ``distribution``."""
_BALANCED = "balanced"
"""Rows dealt out in turn; what is spelled in a third way is left out."""
NEARLY = 8.0
"""Keys before a chunk, over its queries, from which its rows count as alike long."""
_ALIKE = "flat"
_NCCL = {"all_reduce": "all_reduce", "all_gather": "all_gather", "alltoall": "all_to_all",
         "reduce_scatter": "reduce_scatter"}  # fmt: skip
_MOVED = ["all_gather", "alltoall"]


@dataclass(frozen=True)
class Part:
    """Rows of one kernel: what names it, its operations, and their times in s."""

    name: str
    dtype: str
    kv_dtype: str
    kernel: str
    ops: OpTable
    seconds: Floats


def _column(d: pl.DataFrame, name: str) -> Floats:
    return d[name].to_numpy().astype(np.float64)


def _seconds(d: pl.DataFrame) -> Floats:
    return _column(d, "latency") * 1e-3


def _each(d: pl.DataFrame, *columns: str) -> Iterator[tuple[tuple[str, ...], pl.DataFrame]]:
    for key, rows in d.group_by(*columns, maintain_order=True):
        yield tuple(str(k) for k in key), rows


def mla_decode(d: pl.DataFrame) -> Iterator[Part]:
    """Decode over latents: heads are those of one rank."""
    for (stored, kernel), rows in _each(d, "kv_cache_dtype", "kernel_source"):
        ops = OpTable.build(
            "decode_attention", "bf16", DTYPES[stored], batch=_column(rows, "batch_size"), q_len=1,
            kv_len=_column(rows, "step") + 1.0, heads=_column(rows, "num_heads"), kv_heads=1,
            head_dim=LATENT + ROTARY, v_head_dim=LATENT, latent_rank=LATENT,
        )  # fmt: skip
        yield Part("mla_decode", "bf16", DTYPES[stored], kernel, ops, _seconds(rows))


def mla_prefill(d: pl.DataFrame) -> Iterator[Part]:
    """Prefill with keys and values expanded, in bf16 whatever the cache stores."""
    for (stored, kernel), rows in _each(d, "kv_cache_dtype", "kernel_source"):
        heads, new = _column(rows, "num_heads"), _column(rows, "isl")
        ops = OpTable.build(
            "prefill_attention", "bf16", DTYPES[stored], batch=_column(rows, "batch_size"),
            q_len=new, kv_len=_column(rows, "step") + new, heads=heads, kv_heads=heads,
            head_dim=NOPE + ROTARY, v_head_dim=VALUE,
        )  # fmt: skip
        yield Part("mla_prefill", "bf16", DTYPES[stored], kernel, ops, _seconds(rows))


def moe(d: pl.DataFrame) -> Iterator[Part]:
    """Two products of each layer."""
    import polars as pl

    known = pl.col("moe_dtype").is_in(list(_MOE_DTYPES)) & (pl.col("moe_ep_size") == 1)
    d = d.filter(known)
    if d.is_empty():
        return
    exponent = pl.col("distribution").str.strip_prefix(_POWER_LAW).cast(pl.Float64, strict=False)
    even = pl.when(pl.col("distribution") == _BALANCED).then(EVEN)
    d = d.filter(~moe_rows.unsound()).with_columns(exponent.fill_null(even).alias("routing"))
    d = d.filter(pl.col("routing").is_not_null())
    for (spelled, kernel), rows in _each(d, "moe_dtype", "kernel_source"):
        dtype, stored = _MOE_DTYPES[spelled]
        hidden, inner = _column(rows, "hidden_size"), _column(rows, "inter_size")
        inner = inner / _column(rows, "moe_tp_size")
        shared = {
            "m": _column(rows, "num_tokens"),
            "experts": _column(rows, "num_experts"),
            "top_k": _column(rows, "topk"),
            "routing": _column(rows, "routing"),
        }
        gates = gated(shared["experts"], shared["top_k"])
        wide = inner * (1.0 + gates)
        up = OpTable.build("grouped_gemm", dtype, stored, n=wide, k=hidden, **shared)
        down = OpTable.build("grouped_gemm", dtype, stored, n=hidden, k=inner, **shared)
        first = (1.0 + gates) / (2.0 + gates)
        both = np.concatenate([_seconds(rows) * first, _seconds(rows) * (1.0 - first)])
        yield Part("grouped_gemm", dtype, stored, kernel, OpTable.concat([up, down]), both)


def mla_products(d: pl.DataFrame) -> Iterator[Part]:
    """MLA's absorbed products: one small matrix a head."""
    import polars as pl

    d = d.filter(pl.col("bmm_dtype") == "bfloat16")
    for (kernel,), rows in _each(d, "kernel_source"):
        before = (rows["op_name"] == "mla_gen_pre").to_numpy()
        heads = _column(rows, "num_heads")
        ops = OpTable.build(
            "grouped_gemm", "bf16", "bf16", m=_column(rows, "num_tokens"), experts=heads,
            top_k=heads, n=np.where(before, LATENT, VALUE), k=np.where(before, NOPE, LATENT),
        )  # fmt: skip
        yield Part("batched_gemm", "bf16", "bf16", kernel, ops, _seconds(rows))


def delta_rule(d: pl.DataFrame) -> Iterator[Part]:
    """Prefill and decode of gated delta rule, without its convolution."""
    import polars as pl

    rows = d.filter(pl.col("kernel_source").str.contains("delta_rule"))
    for (phase, kernel), part in _each(rows, "phase", "kernel_source"):
        op = "mamba_prefill" if phase == "context" else "mamba_decode"
        length = _column(part, "seq_len") if phase == "context" else np.ones(len(part))
        ops = OpTable.build(
            op, "bf16", "fp32", batch=_column(part, "batch_size"), q_len=length, kv_len=length,
            heads=_column(part, "num_v_heads"), kv_heads=_column(part, "num_k_heads"),
            head_dim=_column(part, "head_v_dim"), state_size=_column(part, "head_k_dim"),
            n=64.0 if op == "mamba_prefill" else 0.0,
        )  # fmt: skip
        yield Part(op, "bf16", "fp32", kernel, ops, _seconds(part))


def quantise(d: pl.DataFrame) -> Iterator[Part]:
    """Scale 16-bit rows to 8 bits: one byte out for two in."""
    rows, width = _column(d, "m"), _column(d, "k")
    ops = OpTable.build("elementwise", "bf16", "none", m=rows, n=width, bytes=3.0 * rows * width)
    yield Part("elementwise", "bf16", "none", str(d["kernel_source"][0]), ops, _seconds(d))


def selection(d: pl.DataFrame) -> Iterator[Part]:
    """Select 2,048 scores of each row, all alike: what random scores take, too (`selection.py`).

    Rows of one chunk are causal: only chunks are read whose first row is nearly as long as their
    last. Of up to 2,048 scores there is nothing to select, and such rows have no time.
    """
    import polars as pl

    short = pl.col("isl") * NEARLY <= pl.col("step")
    d = d.filter((pl.col("score_mode") == _ALIKE) & short & (pl.col("compress_ratio") == 1))
    for (kernel,), rows in _each(d, "kernel_source"):
        keys = _column(rows, "step") + _column(rows, "isl")
        shape = {"batch": _column(rows, "batch_size"), "q_len": _column(rows, "isl")}
        ops = OpTable.build(
            "sample", "fp32", "none", kv_len=keys, heads=1, m=shape["batch"] * shape["q_len"],
            n=keys, k=SELECT_PASSES, **shape,
        )  # fmt: skip
        yield Part("top_k", "fp32", "none", kernel, ops, _seconds(rows))


def own_all_reduce(d: pl.DataFrame) -> Iterator[Part]:
    """Messages are in bytes of one device's payload."""
    import polars as pl

    if "backend" in d.columns:
        d = d.filter(~pl.col("backend").str.contains("eager"))
    for (kernel,), rows in _each(d, "kernel_source"):
        shape = {"devices": _column(rows, "num_gpus"), "bytes": 2.0 * _column(rows, "message_size")}
        ops = OpTable.build("all_reduce", "bf16", "none", **shape)
        yield Part("all_reduce", "bf16", "none", kernel, ops, _seconds(rows))


def nccl(d: pl.DataFrame) -> Iterator[Part]:
    """Messages are in elements; of a gather they are what all devices bring together.

    Gathers and all-to-alls move bytes of whatever type: 8-bit rows are second measurements.
    """
    import polars as pl

    wide, moved = pl.col("nccl_dtype") == "half", pl.col("op_name").is_in(_MOVED)
    d = d.filter(
        (wide | (moved & (pl.col("nccl_dtype") == "int8"))) & pl.col("op_name").is_in(list(_NCCL))
    )
    d = d.with_columns((pl.col("message_size") * pl.when(wide).then(2).otherwise(1)).alias("bytes"))
    for (name,), rows in _each(d, "op_name"):
        devices, payload = _column(rows, "num_gpus"), _column(rows, "bytes")
        payload = payload / devices if name == "all_gather" else payload
        ops = OpTable.build(_NCCL[name], "bf16", "none", devices=devices, bytes=payload)
        yield Part(_NCCL[name], "bf16", "none", "nccl", ops, _seconds(rows))


@dataclass(frozen=True)
class Table:
    """One kind of table: where it lies, of which framework, and its reader."""

    kind: str
    file: str
    read: Callable[[pl.DataFrame], Iterator[Part]]
    framework: str | None = None


TABLES = (
    Table("mla", "generation_mla_perf.parquet", mla_decode),
    Table("mla", "context_mla_perf.parquet", mla_prefill),
    Table("mla_bmm", "mla_bmm_perf.parquet", mla_products),
    Table("moe", "moe_perf.parquet", moe),
    Table("linear_attention", "gdn_perf.parquet", delta_rule),
    Table("quantize", "scale_matrix_perf.parquet", quantise),
    Table("sparse_attention", "glm5_topk_module_perf.parquet", selection, "sglang"),
    Table("comm", "custom_allreduce_perf.parquet", own_all_reduce),
    Table("comm", "nccl_perf.parquet", nccl, "nccl"),
)
"""Every table that is read; `framework` where it is not the one asked for."""


def read_public(
    system: str, framework: str, version: str | None = None, root: Path | None = None
) -> list[Measured]:
    """Read every table of one system: `aiconfigurator.read_system` and `read_others`."""
    parts = read_system(system, framework, version, root)
    return parts + read_others(system, framework, version, root)


def read_others(
    system: str, framework: str, version: str | None = None, root: Path | None = None
) -> list[Measured]:
    """Read what was measured on one system beyond plain attention and GEMM.

    Parameters
    ----------
    system, framework, version, root
        As in `aiconfigurator.read_system`; a table that is absent is passed over.

    Raises
    ------
    BadInput
        The package is not installed, or `root` holds no tables.
    """
    import polars as pl

    base, found = tables_root(root) / system, []
    for table in TABLES:
        name = table.framework or framework
        asked = version if table.framework is None else None
        folder = newest(base / table.kind / name, asked, table.file)
        if folder is None:
            continue
        rows = pl.read_parquet(folder / table.file).filter(pl.col("latency") > 0)
        source = f"{PACKAGE}: {system}/{table.kind}/{name}/{folder.name}/{table.file}"
        for part in table.read(rows):
            spelled = (part.name, part.dtype, part.kv_dtype, name, folder.name, part.kernel.lower())
            found.append(Measured(KernelKey(*spelled), source, part.ops, part.seconds))
    return found
