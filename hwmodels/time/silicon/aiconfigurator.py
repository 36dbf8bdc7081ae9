"""Public silicon tables: the PyPI package `aiconfigurator-core` (Apache-2.0), an extra.

Its tables hold one latency a shape, ms, of a kernel alone on the device. They are read from the
installed package and never copied: what ships with tierlab are parameters and residuals.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tierlab.hwmodels.time.silicon.measured import KernelKey, Measured
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import near
from tierlab.kernels.ops.table import OpTable

if TYPE_CHECKING:
    import polars as pl

PACKAGE = "aiconfigurator_core"
DTYPES = {
    "bfloat16": "bf16", "float16": "fp16", "fp8": "fp8", "fp8_block": "fp8",
    "int8_wo": "int8", "int4_wo": "int4", "nvfp4": "fp4", "sq": "int8",
}  # fmt: skip
"""Their name -> ours. A dtype that ends in ``_wo`` stores weights that are widened; ``sq`` is
SmoothQuant, 8-bit inputs and weights."""
NARROW = {"sglang": ["int8_wo"]}
"""Framework -> what its table calls weight-only and its collector multiplied in 8 bits.

That of SGLang 0.5.6 rounded each row of the input, in passes of PyTorch, and then called
``int8_scaled_mm`` (collector/sglang/collect_gemm.py of ai-dynamo/aiconfigurator)."""
FILES = {
    "decode_attention": ("attention", "generation_attention_perf.parquet"),
    "prefill_attention": ("attention", "context_attention_perf.parquet"),
    "gemm": ("gemm", "gemm_perf.parquet"),
}
DEVICES = {
    "h200_sxm": "H200", "h100_sxm": "H100", "a100_sxm": "A100-80G", "b200_sxm": "B200",
    "l40s": "L40S",
}  # fmt: skip
"""System of the package -> device of the catalogue."""

PROFILED = "trt_flow_"
"""Kernels of the collector's TensorRT engines, each shape run once between two events."""
EVENTS_S = 4.7e-6
"""What the events add to a run, s: the least of those times on A100, 7.17 us, less the least of
vLLM's table of 16-bit products by CUDA graph on it, 2.45 us (an assumption, 2026-11-22)."""


def tables_root(root: Path | None = None) -> Path:
    """Return the folder with one folder a system.

    Parameters
    ----------
    root
        The package's folder, or the folder of tables itself; absent, the installed package.

    Raises
    ------
    BadInput
        The package is not installed, or `root` holds no tables.
    """
    if root is None:
        found = importlib.util.find_spec(PACKAGE)
        if found is None or not found.submodule_search_locations:
            hint = "pip install 'tierlab[silicon]', or --tables FOLDER"
            raise BadInput("--from aiconfigurator", f"{PACKAGE} is not installed", hint)
        root = Path(next(iter(found.submodule_search_locations)))
    for candidate in (root, root / "systems" / "data"):
        if any(candidate.glob("*/*/*/*/*.parquet")):
            return candidate
    raise BadInput("--tables", f"{root} holds no tables", "a folder of SYSTEM/KIND/FRAMEWORK/...")


def read_system(
    system: str, framework: str, version: str | None = None, root: Path | None = None
) -> list[Measured]:
    """Read every kernel that was measured on one system.

    Parameters
    ----------
    system, framework
        Folder names of the package: ``h200_sxm``, ``vllm``.
    version
        Of the framework; absent, the newest of each table, and of products the newest that has a
        pair of dtypes.
    root
        See `tables_root`.

    Raises
    ------
    BadInput
        There is no such system, framework or version.
    """
    base = tables_root(root)
    _known("--system", system, base)
    parts = []
    for op, (kind, name) in FILES.items():
        folder = base / system / kind
        if folder.is_dir():
            _known("--framework", framework, folder)
            parts += _newest_parts(op, folder / framework, version, name)
    if not parts:
        raise BadInput("--version", f"{version!r} has no tables", "a version of the package")
    return parts


def _known(option: str, name: str, folder: Path) -> None:
    if not (folder / name).is_dir():
        names = [p.name for p in folder.iterdir() if p.is_dir()]
        raise BadInput(option, f"no tables of {name!r} in {folder.name}", near(name, names))


def _newest_parts(op: str, folder: Path, version: str | None, name: str) -> list[Measured]:
    chosen = newest(folder, version, name)
    if chosen is None:
        return []
    parts = _split(op, chosen / name, folder.name)
    if op != "gemm" or version is not None:
        return parts
    for older in _by_age(folder, name)[1:]:
        known = {(p.key.dtype, p.key.kv_dtype) for p in parts}
        found = _split(op, older / name, folder.name)
        parts += [p for p in found if (p.key.dtype, p.key.kv_dtype) not in known]
    return parts


def newest(folder: Path, version: str | None, name: str) -> Path | None:
    """Return the folder of a table's newest version, or of the one asked for; None without."""
    found = _by_age(folder, name)
    return next((p for p in found if version in (None, p.name)), None)


def _by_age(folder: Path, name: str) -> list[Path]:
    """Return the folders that hold a table, the newest version first."""
    found = [p.parent for p in folder.glob(f"*/{name}")]
    return sorted(found, key=lambda p: _numbers(p.name), reverse=True)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(p) for p in version.replace("rc", ".").split(".") if p.isdigit())


def _split(op: str, path: Path, framework: str) -> list[Measured]:
    import polars as pl

    frame = _shape(op, pl.read_parquet(path), NARROW.get(framework, []))
    version, source = path.parent.name, f"{PACKAGE}: {'/'.join(path.parts[-5:])}"
    parts = []
    for (dtype, kv, kernel, windowed), rows in frame.group_by(
        "_dtype", "_kv", "kernel_source", "_windowed", maintain_order=True
    ):
        spelled = str(kernel).lower()
        key = KernelKey(op, str(dtype), str(kv), framework, version, spelled, bool(windowed))
        parts.append(_measured(key, source, rows))
    return parts


def _shape(op: str, d: pl.DataFrame, narrow: list[str]) -> pl.DataFrame:
    """Return the rows whose dtypes we know, with our names; `narrow` ones are not widened."""
    import polars as pl

    d = d.filter(pl.col("latency") > 0)
    if op == "gemm":
        d = d.filter(pl.col("gemm_dtype").is_in(list(DTYPES)))
        stored = pl.col("gemm_dtype").replace_strict(DTYPES)
        wide = pl.col("gemm_dtype").str.ends_with("_wo") & ~pl.col("gemm_dtype").is_in(narrow)
        return d.with_columns(
            _dtype=pl.when(wide).then(pl.lit("bf16")).otherwise(stored),
            _kv=stored, _windowed=pl.lit(value=False),
        )  # fmt: skip
    d = d.filter(pl.col("kv_cache_dtype").is_in(list(DTYPES)))
    if "window_size" not in d.columns:
        d = d.with_columns(window_size=pl.lit(0))
    return d.with_columns(
        _dtype=pl.col("attn_dtype").replace_strict(DTYPES),
        _kv=pl.col("kv_cache_dtype").replace_strict(DTYPES),
        _windowed=pl.col("window_size") > 0,
    )


def _measured(key: KernelKey, source: str, d: pl.DataFrame) -> Measured:
    def column(name: str) -> np.ndarray:
        return d[name].to_numpy().astype(np.float64)

    if key.op == "gemm":
        shape = {c: column(c) for c in ("m", "n", "k")}
    else:
        new = np.ones(len(d)) if key.op == "decode_attention" else column("isl")
        shape = {
            "batch": column("batch_size"),
            "q_len": new,
            "kv_len": column("step") + new,
            "heads": column("num_heads"),
            "kv_heads": column("num_key_value_heads"),
            "head_dim": column("head_dim"),
            "window": column("window_size"),
        }
    ops = OpTable.build(key.op, key.dtype, key.kv_dtype, **shape)
    seconds = column("latency") * 1e-3
    if not key.kernel.startswith(PROFILED):
        return Measured(key, source, ops, seconds)
    return Measured(key, f"{source}, less {EVENTS_S * 1e6:g} us a row", ops, seconds - EVENTS_S)
