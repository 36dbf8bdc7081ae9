"""How many shapes a second kernel models answer, on one core, beside the roofline.

python benchmarks/bench_predict.py [--hardware H] [--only WORD]

A million random shapes of each kind, or of those whose names hold a word; the best of four, seconds
of processor time. The roofline is
a dozen array operations a shape: about what reading and writing the columns costs.
"""

import time

import click
import numpy as np

from tierlab.hwmodels.catalogue import load_system
from tierlab.hwmodels.time.roofline import Roofline, roofline_device
from tierlab.hwmodels.time.silicon.aliases import SELECT_PASSES
from tierlab.hwmodels.time.silicon.make import silicon
from tierlab.hwmodels.time.times import TimeModel
from tierlab.kernels.ops.sampling import PASSES
from tierlab.kernels.ops.table import OpTable

SHAPES = 1_000_000
REPEATS = 4


MODELS = np.array(
    [(128, 8, 4096, 1536), (128, 8, 2048, 768), (8, 2, 4096, 14336), (256, 8, 7168, 2048)]
)
"""Experts, top-k, width and inner width: Qwen3 235B and 30B, Mixtral 8x7B, DeepSeek-V3."""
ROUTINGS = {"even": 0.0, "uniform": 1.0, "power law 1.2": 1.2}


def tables() -> dict[str, OpTable]:
    """Return random shapes of each kind."""
    rng = np.random.default_rng(0)
    return {**attention(rng), **experts(rng), **others(rng)}


def attention(rng: np.random.Generator) -> dict[str, OpTable]:
    """Return dense products and attention, of Llama-like heads and of DeepSeek-V3's."""
    heads = {"heads": 32, "kv_heads": 8, "head_dim": 128}
    decode = {"batch": rng.integers(1, 256, SHAPES), "q_len": 1, **heads}
    keys = np.floor(2.0 ** rng.uniform(4, 16, SHAPES))
    queries = np.floor(2.0 ** rng.uniform(4, 13, SHAPES))
    n, k = 128 * rng.integers(1, 128, (2, SHAPES))
    ragged = {"kv_len": keys, "kv_len_spread": rng.uniform(0, 2, SHAPES)}
    prefill = {"batch": 1, "q_len": queries, "kv_len": queries + keys, **heads}
    latent = {"heads": 128, "kv_heads": 1, "head_dim": 576, "v_head_dim": 512, "latent_rank": 512}
    narrow = {"heads": 128, "kv_heads": 128, "head_dim": 192, "v_head_dim": 128}
    return {
        "GEMM": OpTable.build("gemm", "bf16", "bf16", m=queries, n=n, k=k),
        "decode": OpTable.build("decode_attention", "bf16", "bf16", kv_len=keys, **decode),
        "ragged decode": OpTable.build("decode_attention", "bf16", "bf16", **ragged, **decode),
        "prefill over past keys": OpTable.build("prefill_attention", "bf16", "bf16", **prefill),
        "MLA decode": OpTable.build(
            "decode_attention", "bf16", "bf16", kv_len=keys, **decode | latent
        ),
        "MLA prefill": OpTable.build("prefill_attention", "bf16", "bf16", **prefill | narrow),
    }


def experts(rng: np.random.Generator) -> dict[str, OpTable]:
    """Return products into experts and out of them, by routing."""
    count, top_k, wide, inner = MODELS[rng.integers(0, len(MODELS), SHAPES)].T
    into = rng.random(SHAPES) < 0.5
    n, k = np.where(into, 2 * inner, wide), np.where(into, wide, inner)
    tokens = np.floor(2.0 ** rng.uniform(0, 14, SHAPES))
    shape = {"m": tokens, "n": n, "k": k, "experts": count, "top_k": top_k}
    return {
        f"experts, {name}": OpTable.build("grouped_gemm", "bf16", "bf16", routing=number, **shape)
        for name, number in ROUTINGS.items()
    }


def others(rng: np.random.Generator) -> dict[str, OpTable]:
    """Return linear attention, small kernels and collectives."""
    heads = {"heads": 64, "kv_heads": 8, "head_dim": 64, "state_size": 128}
    queries = np.floor(2.0 ** rng.uniform(4, 13, SHAPES))
    batch, rows = rng.integers(1, 256, SHAPES), np.floor(2.0 ** rng.uniform(0, 14, SHAPES))
    devices = 2.0 ** rng.integers(1, 4, SHAPES)
    nbytes = np.floor(2.0 ** rng.uniform(8, 29, SHAPES))
    keys = np.floor(2.0 ** rng.uniform(11, 18, SHAPES))
    random = np.where(rng.random(SHAPES) < 0.5, 0.0, PASSES["random"])
    chosen = {"m": rows, "n": keys, "kv_len": keys, "k": SELECT_PASSES}
    return {
        "Mamba-2 prefill": OpTable.build("mamba_prefill", "bf16", batch=1, q_len=queries, **heads),
        "Mamba-2 decode": OpTable.build("mamba_decode", "bf16", batch=batch, q_len=1, **heads),
        "elementwise": OpTable.build("elementwise", "bf16", m=rows, n=4096, bytes=rows * 16384.0),
        "sample": OpTable.build("sample", "fp32", m=batch, n=128256.0, k=random),
        "top-k": OpTable.build("sample", "fp32", **chosen),
        **{
            op.replace("_", "-"): OpTable.build(op, "bf16", devices=devices, bytes=nbytes)
            for op in ("all_reduce", "all_gather", "reduce_scatter", "all_to_all")
        },
    }


def best_s(model: TimeModel, ops: OpTable) -> float:
    """Return the least processor time of one prediction of all rows, s."""
    found = float("inf")
    for _ in range(REPEATS):
        start = time.process_time()
        model.predict(ops)
        found = min(found, time.process_time() - start)
    return found


@click.command()
@click.option("--hardware", default="8xH200", show_default=True)
@click.option("--only", default="", help="a word in the names of kinds")
def main(hardware: str, only: str) -> None:
    """Time predictions of a million shapes."""
    system = load_system(hardware, "--hardware")
    kernels = silicon(None, system.gpu, system.peer_link, "--hardware")
    roofline = Roofline(roofline_device(system.gpu, system.peer_link))
    print("| bf16 | million shapes a second | times the roofline's time |\n|---|---|---|")
    for name, ops in tables().items():
        if only not in name:
            continue
        ours, other = best_s(kernels, ops), best_s(roofline, ops)
        print(f"| {name} | {SHAPES / ours / 1e6:.2f} | {ours / other:.1f} |")


if __name__ == "__main__":
    main()
