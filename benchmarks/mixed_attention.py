"""Attention of prefill chunks beside decodes, predicted against a profile's mixed rows.

python benchmarks/mixed_attention.py FOLDER [CALIBRATION]

FOLDER is LLMServingSim's profile of Llama-3.1-8B on an RTX 4090 (MIT). Prints the table of
docs/results/silicon_rtx4090.md: both kinds of rows timed apart, and in one launch
(`hwmodels/time/silicon/shared.py`).
"""

import argparse
import csv
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.catalogue import load_device
from tierlab.hwmodels.time.silicon.make import silicon
from tierlab.kernels.models.load import load_model
from tierlab.kernels.models.step import decode_work, prefill_work
from tierlab.kernels.ops.table import OPS, Work
from tierlab.simulator.serving.together import EMPTY, QUERIES, SHORTEST, as_arrays, attention_s

Floats = NDArray[np.float64]
PARTS = {
    "all": (0.0, np.inf),
    "under 100 us": (0.0, 1e-4),
    "100 us to 1 ms": (1e-4, 1e-3),
    "over 1 ms": (1e-3, np.inf),
}


def cells(error: Floats, true: Floats) -> str:
    """Return median and p90 of the size, the time-weighted size, and the median."""
    size = np.abs(error)
    weighted = (size * true).sum() / true.sum()
    figures = (np.median(size), np.quantile(size, 0.9), weighted)
    return " | ".join(f"{x:.1%}" for x in figures) + f" | {np.median(error):+.1%}"


def main(folder: Path, path: Path | None) -> None:
    with (folder / "attention.csv").open(encoding="utf-8") as file:
        rows = np.array([[float(x) for x in row] for row in list(csv.reader(file))[1:]])
    chunk, past, decodes, keys, us = rows[(rows[:, 0] > 0) & (rows[:, 2] > 0)].T
    true = us * 1e-6
    model = load_model("Llama-3.1-8B")
    times = silicon(path, load_device("RTX-4090", "benchmark"), None, "benchmark")

    def of_layer(work: Work) -> Floats:
        mixing = np.flatnonzero(work.ops.op != OPS.index("elementwise"))
        return times.predict(work.ops.take(mixing)).seconds

    q_len, kv_len = chunk.astype(np.int64), (chunk + past).astype(np.int64)
    chunk_s = of_layer(prefill_work(model, 1, "bf16", q_len, kv_len))
    alone_s = of_layer(decode_work(model, 1, "bf16", decodes.astype(np.int64), keys, 0.0))
    first, second = of_layer(prefill_work(model, 1, "bf16", [1, 2], [1, 2]))
    axis = np.unique(np.concatenate([[1.0], keys]))
    one = prefill_work(model, 1, "bf16", 1, 1), decode_work(model, 1, "bf16", 1, 1.0, 0.0)
    lines, rules = as_arrays(times.shared(*one, axis, "mid"), len(axis))
    layers = float(one[1].repeat[0])
    lines[:2] /= layers
    rules[[EMPTY, SHORTEST]] /= layers
    launch_s = 2.0 * first - second
    together_s = np.array(
        [
            attention_s(axis, lines, rules, c, launch_s, tiles, tiles, n, k, k)
            for c, q, n, k in zip(chunk_s, chunk, decodes, keys, strict=True)
            for tiles in [ceil(q / rules[QUERIES])]
        ]
    )
    print("| measured | rows | timed | median | p90 | by time | bias |")
    print("|---|---|---|---|---|---|---|")
    for name, (low, high) in PARTS.items():
        mine = (true >= low) & (true < high)
        for how, found in (("apart", chunk_s + alone_s), ("together", together_s)):
            error = found[mine] / true[mine] - 1.0
            print(f"| {name} | {mine.sum():,} | {how} | {cells(error, true[mine])} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("calibration", type=Path, nargs="?")
    given = parser.parse_args()
    main(given.folder, given.calibration)
