"""The noise of the public tables: one shape measured twice, and rows against neighbours.

    python benchmarks/table_noise.py [--tables DIR] [--csv FILE]

First, twins: bf16 products that vLLM's and TensorRT-LLM's tables both hold run the same library on
the same kind of GPU; B200 and GB200 are the same chip with the same kernels, in another host. What
two logarithms differ by, less its median in a stratum, over the root of 2, is at most the noise of
one run; part of it is another version of the library, or another clock. Second: calls of 3 to 15
rows fit the same tile, so a call that takes 15% longer than both the call with one row more and
with one less is an outlier. The tables are those of `validate_silicon.py`; docs/results/silicon.md
keeps the output, and `silicon_tables.py` holds it against what the models miss.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tierlab.hwmodels.time.silicon.aiconfigurator import DEVICES, read_system
from tierlab.hwmodels.time.silicon.fitted import stratum
from tierlab.hwmodels.time.silicon.holdout import FEWEST, STRATA
from tierlab.hwmodels.time.silicon.measured import Measured
from tierlab.hwmodels.time.silicon.windows import answered
from tierlab.kernels.ops.table import COLUMNS

Floats = NDArray[np.float64]
TWIN_SYSTEMS = {"b200_sxm": "gb200"}
"""System of the package -> another with the same chip."""
TWIN_FRAMEWORK = "trtllm"
"""Its bf16 products are cuBLAS's, as vLLM's are."""
ROWS = np.arange(2.0, 17.0)
ABOVE = 1.15


class Noise(NamedTuple):
    """What one stratum of two tables differs by, as errors of one run."""

    device: str
    kernel: str
    stratum: str
    twin: str
    pairs: int
    median: float
    p90: float
    weighted: float


def table(system: str, framework: str, tables: Path | None) -> dict[str, Measured]:
    return {p.key.label(): p for p in read_system(system, framework, None, tables)}


def twins(tables: Path | None) -> Iterator[tuple[str, str, Measured, Measured]]:
    """Yield a device, what its twin is, and both measurements."""
    for system, name in DEVICES.items():
        ours, theirs = (table(system, f, tables) for f in ("vllm", TWIN_FRAMEWORK))
        products = [
            next(p for label, p in known.items() if label.startswith("gemm bf16 "))
            for known in (ours, theirs)
        ]
        yield name, f"{TWIN_FRAMEWORK} {products[1].key.version}", products[0], products[1]
        if system in TWIN_SYSTEMS:
            other = table(TWIN_SYSTEMS[system], "vllm", tables)
            for label, part in ours.items():
                if label in other and part is not products[0]:
                    yield name, TWIN_SYSTEMS[system], part, other[label]


def twice(first: Measured, second: Measured) -> tuple[Floats, Floats]:
    """Return the seconds of the shapes that both hold."""
    ours, theirs = (np.stack([p.ops[c] for c in COLUMNS], axis=1) for p in (first, second))
    other = dict(zip(map(tuple, theirs), second.seconds, strict=True))
    pairs = [(s, other.get(tuple(at))) for at, s in zip(ours, first.seconds, strict=True)]
    known = np.array([p for p in pairs if p[1] is not None], dtype=np.float64).reshape(-1, 2)
    return known[:, 0], known[:, 1]


def noise(tables: Path | None) -> Iterator[Noise]:
    for device, twin, ours, theirs in twins(tables):
        one, two = twice(ours.take(answered(ours)), theirs)
        for s, title in enumerate(STRATA):
            mine = stratum(one) == s
            if mine.sum() < FEWEST:
                continue
            apart = np.log(two[mine] / one[mine])
            size = np.abs(apart - np.median(apart)) / np.sqrt(2.0)
            yield Noise(
                device, ours.key.label(), title, twin, int(mine.sum()), float(np.median(size)),
                float(np.quantile(size, 0.9)), float((size * one[mine]).sum() / one[mine].sum()),
            )  # fmt: skip


def show(rows: list[Noise]) -> None:
    print("| device | kernel | measured time | twin | pairs | median | p90 | by time |")
    print("|---" * 8 + "|")
    for row in rows:
        figures = " | ".join(f"{100 * v:.1f}%" for v in row[-3:])
        print(f"| {' | '.join(row[:4])} | {row.pairs:,} | {figures} |")


def outliers(tables: Path | None) -> None:
    print("\n| device | kernel | calls of 3 to 15 rows | 15% over both neighbours |")
    print("|---" * 4 + "|")
    for system, name in DEVICES.items():
        for label, part in table(system, "vllm", tables).items():
            if part.key.op != "gemm":
                continue
            groups = part.groups()
            times = np.full((groups.max() + 1, len(ROWS)), np.nan)
            few = np.isin(part.ops["m"], ROWS)
            times[groups[few], (part.ops["m"][few] - ROWS[0]).astype(int)] = part.seconds[few]
            beside = np.maximum(times[:, :-2], times[:, 2:])
            known = ~np.isnan(times[:, 1:-1] * beside)
            share = (times[:, 1:-1] > ABOVE * beside)[known]
            if len(share):
                print(f"| {name} | {label} | {len(share):,} | {share.mean():.1%} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=Path)
    parser.add_argument("--csv", type=Path, help="also write the twins' noise here")
    given = parser.parse_args()
    rows = list(noise(given.tables))
    show(rows)
    if given.csv is not None:
        pl.DataFrame(rows, orient="row", schema=Noise._fields).write_csv(given.csv)
    outliers(given.tables)


if __name__ == "__main__":
    main()
