"""The noise of the public GEMM tables: one product measured twice, and rows against neighbours.

    python benchmarks/gemm_noise.py [--tables DIR]

First: bf16 products that vLLM's and TensorRT-LLM's tables both hold run the same library on the
same kind of GPU. What their logarithms differ by, less its median in a stratum, over the root of 2,
is at most the noise of one run; part of it is another version of the library. Second: calls of 3 to
15 rows fit the same tile, so a call that takes 15% longer than both the call with one row more and
with one less is an outlier. The tables are those of `validate_silicon.py`; docs/results/silicon.md
keeps the output.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.silicon.aiconfigurator import DEVICES, read_system
from tierlab.hwmodels.time.silicon.fitted import stratum
from tierlab.hwmodels.time.silicon.holdout import STRATA
from tierlab.hwmodels.time.silicon.measured import Measured

Floats = NDArray[np.float64]
ROWS = np.arange(2.0, 17.0)
ABOVE = 1.15


def products(system: str, framework: str, tables: Path | None) -> list[Measured]:
    return [p for p in read_system(system, framework, None, tables) if p.key.op == "gemm"]


def shapes(part: Measured) -> Floats:
    return np.stack([part.ops[c] for c in "mnk"], axis=1)


def twice(first: Measured, second: Measured) -> tuple[Floats, Floats]:
    """Return the seconds of the shapes that both hold."""
    other = dict(zip(map(tuple, shapes(second)), second.seconds, strict=True))
    pairs = [(s, other.get(tuple(at))) for at, s in zip(shapes(first), first.seconds, strict=True)]
    known = np.array([p for p in pairs if p[1] is not None], dtype=np.float64)
    return known[:, 0], known[:, 1]


def repeated(tables: Path | None) -> None:
    print("| device | measured time | products | median | p90 | by time |\n" + "|---" * 6 + "|")
    for system, name in DEVICES.items():
        ours, theirs = (
            next(p for p in products(system, framework, tables) if p.key.kv_dtype == "bf16")
            for framework in ("vllm", "trtllm")
        )
        one, two = twice(ours, theirs)
        for s, title in enumerate(STRATA):
            mine = stratum(one) == s
            apart = np.log(two[mine] / one[mine])
            size = np.abs(apart - np.median(apart)) / np.sqrt(2.0)
            by_time = (size * one[mine]).sum() / one[mine].sum()
            figures = (np.median(size), np.quantile(size, 0.9), by_time)
            cells = " | ".join(f"{100 * f:.1f}%" for f in figures)
            print(f"| {name} | {title} | {len(apart):,} | {cells} |")


def outliers(tables: Path | None) -> None:
    print(
        "\n| device | kernel | calls of 3 to 15 rows | 15% over both neighbours |\n"
        + "|---" * 4
        + "|"
    )
    for system, name in DEVICES.items():
        for part in products(system, "vllm", tables):
            groups = part.groups()
            times = np.full((groups.max() + 1, len(ROWS)), np.nan)
            few = np.isin(part.ops["m"], ROWS)
            times[groups[few], (part.ops["m"][few] - ROWS[0]).astype(int)] = part.seconds[few]
            beside = np.maximum(times[:, :-2], times[:, 2:])
            known = ~np.isnan(times[:, 1:-1] * beside)
            share = (times[:, 1:-1] > ABOVE * beside)[known]
            if len(share):
                print(f"| {name} | {part.key.label()} | {len(share):,} | {share.mean():.1%} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=Path)
    tables = parser.parse_args().tables
    repeated(tables)
    outliers(tables)


if __name__ == "__main__":
    main()
