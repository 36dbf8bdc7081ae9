"""How many shapes a second kernel models answer, on one core, beside the roofline.

python benchmarks/bench_predict.py [--hardware H]

A million random shapes of each kind; the best of four, seconds of processor time. The roofline is
a dozen array operations a shape: about what reading and writing the columns costs.
"""

import time

import click
import numpy as np

from tierlab.hwmodels.catalogue import load_system
from tierlab.hwmodels.time.roofline import Roofline, roofline_device
from tierlab.hwmodels.time.silicon.make import silicon
from tierlab.hwmodels.time.times import TimeModel
from tierlab.kernels.ops.table import OpTable

SHAPES = 1_000_000
REPEATS = 4


def tables() -> dict[str, OpTable]:
    """Return random shapes of each kind, of Llama-like heads."""
    rng = np.random.default_rng(0)
    heads = {"heads": 32, "kv_heads": 8, "head_dim": 128}
    decode = {"batch": rng.integers(1, 256, SHAPES), "q_len": 1, **heads}
    keys = np.floor(2.0 ** rng.uniform(4, 16, SHAPES))
    queries = np.floor(2.0 ** rng.uniform(4, 13, SHAPES))
    n, k = 128 * rng.integers(1, 128, (2, SHAPES))
    ragged = {"kv_len": keys, "kv_len_spread": rng.uniform(0, 2, SHAPES)}
    prefill = {"batch": 1, "q_len": queries, "kv_len": queries + keys, **heads}
    return {
        "GEMM": OpTable.build("gemm", "bf16", "bf16", m=queries, n=n, k=k),
        "decode": OpTable.build("decode_attention", "bf16", "bf16", kv_len=keys, **decode),
        "ragged decode": OpTable.build("decode_attention", "bf16", "bf16", **ragged, **decode),
        "prefill over past keys": OpTable.build("prefill_attention", "bf16", "bf16", **prefill),
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
@click.option("--hardware", default="H200", show_default=True)
def main(hardware: str) -> None:
    """Time predictions of a million shapes."""
    system = load_system(hardware, "--hardware")
    kernels = silicon(None, system.gpu, system.peer_link, "--hardware")
    roofline = Roofline(roofline_device(system.gpu, system.peer_link))
    print("| bf16 | million shapes a second | times the roofline's time |\n|---|---|---|")
    for name, ops in tables().items():
        ours, other = best_s(kernels, ops), best_s(roofline, ops)
        print(f"| {name} | {SHAPES / ours / 1e6:.2f} | {ours / other:.1f} |")


if __name__ == "__main__":
    main()
