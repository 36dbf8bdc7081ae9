"""Fit the roofline's constants on public H200 silicon, and say how far they carry elsewhere.

    python benchmarks/roofline_bands.py TABLES [--write hwmodels/time/roofline.toml]

TABLES is `aiconfigurator_core/systems/data` of the unpacked PyPI package aiconfigurator-core
(Apache-2.0; 0.12.0 was used). Its tables are not part of this repository. For each class of
operation three constants (e_compute, e_memory, fixed_s) minimise the median
|log(measured / predicted)| on the H200, in the mean over three strata by the time that the bare
peaks need. A band is the widest of the 10%-90% ranges of measured / predicted that the held-out
GPUs show one by one, by predicted time. The column "in band" is the share of a GPU's points
inside a band that was made without it; it is comparable with 80% for a held-out GPU.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import minimize

from tierlab.hwmodels.catalogue import load_device, load_link
from tierlab.hwmodels.device import Gpu
from tierlab.hwmodels.time.constants import COLLECTIVES, STRATA_S
from tierlab.hwmodels.time.roofline import FALLBACKS, bus_bytes
from tierlab.kernels.ops.registry import flops, traffic_bytes
from tierlab.kernels.ops.table import OpTable

Floats = NDArray[np.float64]

FITTED = "h200"
IDEAL_S = np.array([10e-6, 50e-6])
"""The fit weighs alike the shapes that need less, and more, than these at the full peaks."""
FEWEST = 10
"""Points of a GPU in a stratum under which it says nothing there."""
VLLM = {"h200": "0.24.0", "h100": "0.24.0", "a100": "0.14.0", "l40s": "0.24.0", "b200": "0.24.0"}
NCCL = {"h200": "2.29.2", "h100": "2.29.2", "a100": "2.27.3", "b200": "2.29.2"}
FOLDER = {"h200": "h200_sxm", "h100": "h100_sxm", "a100": "a100_sxm", "b200": "b200_sxm"}
DEVICE = {"a100": "a100-80g"}
NCCL_NAMES = {name: name for name in COLLECTIVES} | {"all_to_all": "alltoall"}


@dataclass(frozen=True)
class Samples:
    """Work in units of the device's peaks, s, beside the time measured, s."""

    compute_s: Floats
    memory_s: Floats
    calls: float
    seconds: Floats
    flops_max: float
    bytes_max: float

    def predict(self, constants: Floats) -> Floats:
        """Return the roofline of (e_compute, e_memory, fixed_s), s."""
        compute, memory, fixed = constants
        return np.maximum(self.compute_s / compute, self.memory_s / memory) + self.calls * fixed


Band = tuple[list[float], list[float]]
Reader = Callable[[Path, str], Samples | None]


def frame(root: Path, gpu: str, kind: str, name: str) -> pl.DataFrame | None:
    path = root / FOLDER.get(gpu, gpu) / kind / "vllm" / VLLM[gpu] / f"{name}_perf.parquet"
    return pl.read_parquet(path) if path.exists() else None


def device(gpu: str) -> Gpu:
    found = load_device(DEVICE.get(gpu, gpu), gpu)
    if not isinstance(found, Gpu):
        raise TypeError(gpu)
    return found


def samples(gpu: str, dtype: str, tables: list[OpTable], seconds: Floats) -> Samples:
    spec = device(gpu)
    used = next(d for d in FALLBACKS[dtype] if d in spec.peak_flop_per_s)
    work = np.sum([flops(t) for t in tables], axis=0)
    moved = np.sum([traffic_bytes(t) for t in tables], axis=0)
    return Samples(
        work / spec.peak_flop_per_s[used],
        moved / spec.memory_bandwidth_bytes_per_s,
        float(len(tables)),
        seconds,
        float(work.max() / len(tables)),
        float(moved.max() / len(tables)),
    )


def gemm(root: Path, gpu: str, theirs: str, ours: str) -> Samples | None:
    d = frame(root, gpu, "gemm", "gemm")
    d = d.filter(pl.col("gemm_dtype") == theirs) if d is not None else None
    if d is None or d.is_empty():
        return None
    shape = {c: d[c].to_numpy() for c in ("m", "n", "k")}
    table = OpTable.build("gemm", ours, ours, **shape)
    return samples(gpu, ours, [table], d["latency"].to_numpy() * 1e-3)


def moe(root: Path, gpu: str, theirs: str, ours: str) -> Samples | None:
    """Read the whole fused MoE layer as two grouped products, one call each."""
    d = frame(root, gpu, "moe", "moe")
    if d is not None:
        d = d.filter((pl.col("moe_dtype") == theirs) & (pl.col("moe_ep_size") == 1))
    if d is None or d.is_empty():
        return None
    hidden, inner = d["hidden_size"].to_numpy(), (d["inter_size"] / d["moe_tp_size"]).to_numpy()
    common = {
        "m": d["num_tokens"].to_numpy(),
        "experts": d["num_experts"].to_numpy(),
        "top_k": d["topk"].to_numpy(),
    }
    up = OpTable.build("grouped_gemm", ours, ours, n=2 * inner, k=hidden, **common)
    down = OpTable.build("grouped_gemm", ours, ours, n=hidden, k=inner, **common)
    return samples(gpu, ours, [up, down], d["latency"].to_numpy() * 1e-3)


def attention(root: Path, gpu: str, op: str, theirs: str, stored: str) -> Samples | None:
    decode = op == "decode_attention"
    d = frame(root, gpu, "attention", f"{'generation' if decode else 'context'}_attention")
    d = d.filter(pl.col("kv_cache_dtype") == theirs) if d is not None else None
    if d is None or d.is_empty():
        return None
    window = d["window_size"].to_numpy() if "window_size" in d.columns else 0
    past, new = d["step"].to_numpy(), d["isl"].to_numpy()
    table = OpTable.build(
        op,
        "bf16",
        stored,
        batch=d["batch_size"].to_numpy(),
        q_len=1 if decode else new,
        kv_len=past + new,
        heads=d["num_heads"].to_numpy(),
        kv_heads=d["num_key_value_heads"].to_numpy(),
        head_dim=d["head_dim"].to_numpy(),
        window=window,
    )
    return samples(gpu, "bf16", [table], d["latency"].to_numpy() * 1e-3)


def collective(root: Path, gpu: str, op: str) -> Samples | None:
    """Read NCCL's tables, whose sizes count the elements of the whole buffer.

    They are elements, not bytes: "half" takes twice the time of "int8". The shard that a device
    brings to an all-gather is the buffer over the devices.
    """
    version = NCCL.get(gpu)
    path = root / FOLDER.get(gpu, gpu) / "comm" / "nccl" / f"{version}" / "nccl_perf.parquet"
    if version is None or not path.exists():
        return None
    d = pl.read_parquet(path)
    d = d.filter(
        (pl.col("op_name") == NCCL_NAMES[op]) & pl.col("nccl_dtype").is_in(["half", "int8"])
    )
    if d.is_empty():
        return None
    devices = d["num_gpus"].to_numpy()
    size = d["message_size"].to_numpy() * np.where(d["nccl_dtype"].to_numpy() == "half", 2, 1)
    payload = size / devices if op == "all_gather" else size
    table = OpTable.build(op, "bf16", devices=devices, bytes=payload)
    link = load_link(device(gpu).peer_link, gpu)
    moved = bus_bytes(op, table)
    seconds = d["latency"].to_numpy() * 1e-3
    none = np.zeros(len(table))
    return Samples(none, moved / link.raw_bytes_per_s, 1.0, seconds, 0.0, float(moved.max()))


READERS: dict[str, Reader] = {
    "gemm.wide": lambda r, g: gemm(r, g, "bfloat16", "bf16"),
    "gemm.narrow": lambda r, g: gemm(r, g, "fp8", "fp8") if g != "a100" else None,
    "grouped_gemm.wide": lambda r, g: moe(r, g, "bfloat16", "bf16"),
    "grouped_gemm.narrow": lambda r, g: moe(r, g, "fp8_block", "fp8") if g != "a100" else None,
    "prefill_attention.wide": lambda r, g: attention(r, g, "prefill_attention", "bfloat16", "bf16"),
    "prefill_attention.narrow": lambda r, g: attention(r, g, "prefill_attention", "fp8", "fp8"),
    "decode_attention.wide": lambda r, g: attention(r, g, "decode_attention", "bfloat16", "bf16"),
    "decode_attention.narrow": lambda r, g: attention(r, g, "decode_attention", "fp8", "fp8"),
    "all_reduce": lambda r, g: collective(r, g, "all_reduce"),
    "all_gather": lambda r, g: collective(r, g, "all_gather"),
    "reduce_scatter": lambda r, g: collective(r, g, "reduce_scatter"),
    "all_to_all": lambda r, g: collective(r, g, "all_to_all"),
}


def stratum(seconds: Floats) -> NDArray[np.intp]:
    return np.searchsorted(np.array(STRATA_S), seconds)


def loss(data: Samples, constants: Floats) -> float:
    error = np.abs(np.log(data.seconds / data.predict(constants)))
    place = np.searchsorted(IDEAL_S, np.maximum(data.compute_s, data.memory_s))
    return float(np.mean([np.median(error[place == s]) for s in np.unique(place)]))


def fit(data: Samples, seed: int = 0) -> Floats:
    """Nelder-Mead from several starts on log constants; efficiencies at most 1."""
    rng = np.random.default_rng(seed)
    keep = rng.permutation(len(data.seconds))[:15_000]
    part = Samples(
        data.compute_s[keep], data.memory_s[keep], data.calls, data.seconds[keep], 0.0, 0.0
    )
    floor = float(np.quantile(part.seconds, 0.02)) / part.calls

    def objective(x: Floats) -> float:
        high = float(np.sum(np.maximum(x[:2], 0.0)))
        return loss(part, np.exp(x)) + 10.0 * high

    starts = [(c, m, floor) for c in (0.4, 0.7) for m in (0.5, 0.8)]
    runs = [minimize(objective, np.log(s), method="Nelder-Mead") for s in starts]
    return np.asarray(np.exp(min(runs, key=lambda run: float(run.fun)).x))


def bands(held: list[Samples], constants: Floats) -> Band:
    """Return the widest of the held-out GPUs' own bands, by stratum of the prediction."""
    low, high = [], []
    for s in range(len(STRATA_S) + 1):
        parts = [d for x in held if len(d := factors(x, constants, s)) >= FEWEST]
        parts = parts or [factors(x, constants) for x in held]
        quantiles = np.array([np.quantile(part, (0.1, 0.9)) for part in parts])
        low.append(min(round(float(quantiles[:, 0].min()), 3), 1.0))
        high.append(max(round(float(quantiles[:, 1].max()), 3), 1.0))
    return low, high


def factors(data: Samples, constants: Floats, only: int | None = None) -> Floats:
    """Return measured / predicted, of one stratum of the prediction or of all."""
    predicted = data.predict(constants)
    factor = data.seconds / predicted
    return factor if only is None else factor[stratum(predicted / data.calls) == only]


def share_inside(data: Samples, fitted: Floats, band: Band) -> float:
    predicted = data.predict(fitted)
    s, factor = stratum(predicted / data.calls), data.seconds / predicted
    low, high = np.array(band)
    return float(np.mean((factor >= low[s]) & (factor <= high[s])))


def row(name: str, gpu: str, data: Samples, fitted: Floats, band: Band) -> str:
    predicted = data.predict(fitted)
    error = np.abs(predicted / data.seconds - 1.0)
    by = [error[stratum(data.seconds) == k] for k in range(3)]
    medians = " | ".join(f"{100 * np.median(e):.0f}%" if len(e) else "-" for e in by)
    weighted = np.abs(predicted - data.seconds).sum() / data.seconds.sum()
    bias = np.exp(np.median(np.log(factors(data, fitted))))
    role = "fit" if gpu == FITTED else "held out"
    return (
        f"| {name} | {gpu} | {role} | {len(error):,} | {100 * np.median(error):.0f}% | "
        f"{100 * np.quantile(error, 0.9):.0f}% | {100 * weighted:.0f}% | {bias:.2f} | {medians} | "
        f"{100 * share_inside(data, fitted, band):.0f}% |"
    )


HEAD = (
    "| class | GPU | role | points | median error | p90 error | time-weighted "
    "| measured / predicted | under 20 us | 20-100 us | over 100 us | in band |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|"
)


def toml(name: str, fitted: Floats, low: list[float], high: list[float], data: Samples) -> str:
    today = datetime.date.today().isoformat()
    held = "NCCL tables" if name in COLLECTIVES else "vLLM tables"
    return (
        f"[{name}]\n"
        f"e_compute = {fitted[0]:.4g}\ne_memory = {fitted[1]:.4g}\nfixed_s = {fitted[2]:.3e}\n"
        f"p10 = {low}\np90 = {high}\n"
        f"flops_max = {data.flops_max:.3e}\nbytes_max = {data.bytes_max:.3e}\nmeasured = true\n"
        f'source = "{today}, benchmarks/roofline_bands.py: fitted on the H200 {held} of '
        f'aiconfigurator-core 0.12.0; bands from its other GPUs"\n'
    )


@click.command()
@click.argument("root", metavar="TABLES", type=click.Path(path_type=Path, exists=True))
@click.option("--write", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE")
def main(root: Path, write: Path | None) -> None:
    """Print the table and the constants; FILE gets the constants."""
    parts, covered = [], []
    print(HEAD)
    for name, read in READERS.items():
        own = read(root, FITTED)
        if own is None:
            raise FileNotFoundError(f"{root}: no table for {name}")
        fitted = fit(own)
        if name in COLLECTIVES:
            fitted[0] = 1.0
        found = {g: s for g in VLLM if g != FITTED and (s := read(root, g)) is not None}
        low, high = bands(list(found.values()), fitted)
        for gpu, data in ({FITTED: own} | found).items():
            others = [d for g, d in found.items() if g != gpu]
            band = bands(others, fitted)
            print(row(name, gpu, data, fitted, band), flush=True)
            if gpu != FITTED:
                covered.append(share_inside(data, fitted, band))
        parts.append(toml(name, fitted, low, high, own))
    mean, worst = 100 * np.mean(covered), 100 * min(covered)
    print(f"\nIn a band made without them: {mean:.0f}% of the points of held-out GPUs in the mean")
    print(f"over {len(covered)} pairs of class and GPU, {worst:.0f}% in the worst pair.")
    text = "\n".join(parts)
    print(f"\n```toml\n{text}```")
    if write is not None:
        head = write.read_text(encoding="utf-8").partition("# Fitted")[0]
        write.write_text(
            f"{head}# Fitted, by benchmarks/roofline_bands.py.\n{text}", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
