"""How far decodes lie apart that read the same keys: the noise of a GPU's memory in its table.

    python benchmarks/same_cache.py [--tables DIR]

Over calls of more than 100 us whose KV cache is twice the L2 or more and whose heads are grouped
and packed, those alike in batch, keys, KV heads and head width read the same bytes, whatever the
query heads. Each group of four or more is held against its own median; the tables are those of the
PyPI package aiconfigurator-core (0.12.0 was used). docs/results/silicon.md keeps the output.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl

from tierlab.hwmodels.catalogue import load_device
from tierlab.hwmodels.device import Gpu
from tierlab.hwmodels.time.silicon.aiconfigurator import DEVICES, read_system
from tierlab.hwmodels.time.silicon.measured import Measured
from tierlab.kernels.ops.table import DTYPE_BYTES

SYSTEMS = {**DEVICES, "rtx_pro_6000_server": "RTX-PRO-6000"}
LEAST_S = 100e-6
LEAST_KEYS = 1024
ALIKE = 4
APART = 1.08
SAME = ("batch", "kv_len", "kv_heads", "head_dim")


def alike(part: Measured, l2_bytes: float) -> pl.DataFrame:
    """Return calls in groups that read the same bytes, and their groups' medians, s."""
    ops = part.ops
    frame = pl.DataFrame({c: ops[c] for c in (*SAME, "heads")} | {"seconds": part.seconds})
    row = 2.0 * ops["head_dim"] * DTYPE_BYTES[ops.kv_dtype] * ops["kv_heads"]
    far = (ops["batch"] * ops["kv_len"] * row > 2.0 * l2_bytes) & (part.seconds > LEAST_S)
    kept = frame.filter(far & (ops["kv_len"] >= LEAST_KEYS) & (ops["heads"] > ops["kv_heads"]))
    known = kept.with_columns(n=pl.len().over(SAME), median=pl.median("seconds").over(SAME))
    return known.filter(pl.col("n") >= ALIKE)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=Path)
    given = parser.parse_args()
    print("| device | kernel | calls | off their median: median | p90 | groups", end=" ")
    print(f"| slowest over fastest > {APART} |\n" + "|---" * 7 + "|")
    for system, name in SYSTEMS.items():
        device = load_device(name, name)
        for part in read_system(system, "vllm", None, given.tables):
            if (
                part.key.op != "decode_attention"
                or part.key.windowed
                or not isinstance(device, Gpu)
            ):
                continue
            calls = alike(part, device.l2_bytes)
            if len(calls) < 100:
                continue
            off = np.abs((calls["seconds"] / calls["median"] - 1.0).to_numpy())
            spread = calls.group_by(SAME).agg(s=pl.max("seconds") / pl.min("seconds"))["s"]
            cells = [f"{100 * np.quantile(off, q):.1f}%" for q in (0.5, 0.9)]
            cells += [str(len(spread)), f"{100 * (spread > APART).mean():.0f}%"]
            print(f"| {name} | {part.key.label()} | {len(calls)} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
