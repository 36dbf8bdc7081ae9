"""Tables of docs/results/silicon.md, from what `validate -o` and `table_noise.py --csv` wrote.

    python benchmarks/silicon_tables.py validation.csv... --noise noise.csv --seen seen.csv

Says of each stratum whether it meets the aims (`meets`), or only its coverage is off (`band`).
Where errors are over an aim: whether two tables of the chip differ by more than each aim that is
missed (`noise`: no model can do better than the table that it is held against), else whether a fit
that saw other rows of the same groups misses them too (`seen`, from `validate_silicon.py seen`:
what is left does not follow from the shape), else `misses`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import polars as pl

PLAIN = ("decode_attention", "prefill_attention", "gemm")
ERRORS = ("median", "p90", "weighted")
AIMS = (0.02, 0.06, 0.03)
FEW_AIMS = (0.03, 0.12, 0.03)
"""Of the A100: few groups were measured."""
COVERAGE = (0.75, 0.85)
KEYS = ("device", "kernel", "stratum")


def aims(row: dict) -> tuple[float, ...]:
    return FEW_AIMS if row["device"] == "A100-80G" else AIMS


def missed(row: dict) -> list[str]:
    """Return the errors that are over their aim, to the rounding that is printed."""
    return [e for e, aim in zip(ERRORS, aims(row), strict=True) if round(row[e], 3) > aim]


def covered(row: dict) -> bool:
    return COVERAGE[0] <= round(row["coverage"], 3) <= COVERAGE[1]


def verdict(row: dict) -> str:
    """Return `meets`, `band`, `noise`, `seen` or `misses`."""
    over = missed(row)
    if not over:
        return "meets" if covered(row) else "band"
    limits = dict(zip(ERRORS, aims(row), strict=True))
    for kind in ("noise", "seen"):
        known = row[f"{kind}_median"] is not None
        if known and all(round(row[f"{kind}_{e}"], 3) > limits[e] for e in over):
            return kind
    return "misses"


def percent(value: float) -> str:
    return f"{100 * value:.1f}%"


def line(cells: list[str]) -> None:
    print(f"| {' | '.join(cells)} |")


def head(*names: str) -> None:
    line(list(names))
    line(["---"] * len(names))


def summary(rows: list[dict]) -> None:
    head(
        "operation", "strata", "meet all", "coverage alone off", "tables differ by more",
        "seen groups miss too", "miss",
    )  # fmt: skip
    for op in (*dict.fromkeys(r["op"] for r in rows), "all"):
        mine = [r["verdict"] for r in rows if op in (r["op"], "all")]
        counts = [mine.count(v) for v in ("meets", "band", "noise", "seen", "misses")]
        line([op, str(len(mine)), *map(str, counts)])
    single = {e: sum(e not in missed(r) for r in rows) for e in ERRORS}
    single["coverage"] = sum(map(covered, rows))
    print(f"\nOf {len(rows)}: " + ", ".join(f"{k} {v}" for k, v in single.items()) + "\n")


def by_device(rows: list[dict]) -> None:
    head(
        "operation", "device", "median", "p90", "worst p90", "by time", "formula alone, median",
        "coverage", "strata that meet all",
    )  # fmt: skip
    frame = pl.DataFrame(rows).with_columns(full=pl.col("verdict") == "meets")
    for (op, device), part in frame.group_by("op", "device", maintain_order=True):
        middle = [percent(part[e].median()) for e in ("median", "p90")]
        rest = [part["p90"].max(), part["weighted"].median(), part["formula_median"].median()]
        coverage = f"{percent(part['coverage'].min())}-{percent(part['coverage'].max())}"
        line(
            [str(op), str(device), *middle, *map(percent, rest), coverage,
             f"{part['full'].sum()} of {len(part)}"]
        )  # fmt: skip
    print()


def strata(rows: list[dict]) -> None:
    head(
        "device", "kernel", "measured time", "points", "median", "p90", "by time", "bias",
        "in band", "formula alone", "one run's noise", "groups seen", "verdict",
    )  # fmt: skip
    for r in rows:
        figures = [r[k] for k in (*ERRORS, "bias", "coverage", "formula_median")]
        beside = [
            " / ".join(percent(r[f"{kind}_{e}"]) for e in ERRORS) if r[f"{kind}_median"] else ""
            for kind in ("noise", "seen")
        ]
        line(
            [r["device"], r["kernel"], r["stratum"], f"{r['points']:,}", *map(percent, figures),
             *beside, r["verdict"]]
        )  # fmt: skip
    print()


def worst(rows: list[dict]) -> None:
    for r in sorted(rows, key=lambda r: -r["p90"])[:8]:
        print(f"- {r['device']}, {r['kernel']}, {r['stratum']}: {r['worst']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("validation", type=Path, nargs="+")
    parser.add_argument("--noise", type=Path, required=True)
    parser.add_argument("--seen", type=Path, nargs="+", required=True)
    given = parser.parse_args()
    frame = pl.concat([pl.read_csv(path) for path in given.validation])
    beside = {"noise": pl.read_csv(given.noise)}
    beside["seen"] = pl.concat([pl.read_csv(path) for path in given.seen])
    frame = frame.with_columns(op=pl.col("kernel").str.split(" ").list.first())
    frame = frame.filter(pl.col("op").is_in(PLAIN))
    for kind, other in beside.items():
        told = other.select(*KEYS, *(pl.col(e).alias(f"{kind}_{e}") for e in ERRORS))
        frame = frame.join(told, on=KEYS, how="left", maintain_order="left")
    rows = [r | {"verdict": verdict(r)} for r in frame.sort("op", maintain_order=True).to_dicts()]
    for part in (summary, by_device, worst, strata):
        part(rows)


if __name__ == "__main__":
    main()
