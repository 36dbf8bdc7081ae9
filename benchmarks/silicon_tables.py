"""Tables of docs/results/silicon.md, from what `validate -o` and `table_noise.py --csv` wrote.

    python benchmarks/silicon_tables.py validation.csv... --noise noise.csv [--others]

Says of each stratum whether it meets the aims, and, where a twin table knows, whether two
measurements of one shape differ by more than the aim that is missed: no model can do better than
the table that it is held against. `--others` prints what is neither attention nor a dense product.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import polars as pl

PLAIN = ("decode_attention", "prefill_attention", "gemm")
ERRORS = ("median", "p90", "weighted")
AIMS = (0.02, 0.06, 0.03)
FEW_AIMS = (0.03, 0.12, 0.03)
"""Of the A100, and of what is neither attention nor GEMM."""
COVERAGE = (0.75, 0.85)
KEYS = ("device", "kernel", "stratum")


def aims(row: dict) -> tuple[float, ...]:
    few = row["device"] == "A100-80G" or row["op"] not in PLAIN
    return FEW_AIMS if few else AIMS


def missed(row: dict) -> list[str]:
    """Return the errors that are over their aim, to the rounding that is printed."""
    return [e for e, aim in zip(ERRORS, aims(row), strict=True) if round(row[e], 3) > aim]


def covered(row: dict) -> bool:
    return COVERAGE[0] <= round(row["coverage"], 3) <= COVERAGE[1]


def verdict(row: dict) -> str:
    """Return `meets`; `band` where coverage alone is off; `noise` or `misses` for the errors."""
    over = missed(row)
    if not over:
        return "meets" if covered(row) else "band"
    limits = dict(zip(ERRORS, aims(row), strict=True))
    known = row["noise_median"] is not None
    return "noise" if known and all(row[f"noise_{e}"] > limits[e] for e in over) else "misses"


def percent(value: float) -> str:
    return f"{100 * value:.1f}%"


def line(cells: list[str]) -> None:
    print(f"| {' | '.join(cells)} |")


def head(*names: str) -> None:
    line(list(names))
    line(["---"] * len(names))


def summary(rows: list[dict]) -> None:
    head("operation", "strata", "meet all", "coverage alone off", "within the noise", "miss")
    for op in (*dict.fromkeys(r["op"] for r in rows), "all"):
        mine = [r["verdict"] for r in rows if op in (r["op"], "all")]
        counts = [mine.count(v) for v in ("meets", "band", "noise", "misses")]
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
        "in band", "formula alone", "one run's noise", "verdict",
    )  # fmt: skip
    for r in rows:
        figures = [r[k] for k in (*ERRORS, "bias", "coverage", "formula_median")]
        twin = " / ".join(percent(r[f"noise_{e}"]) for e in ERRORS) if r["twin"] else ""
        line(
            [r["device"], r["kernel"], r["stratum"], f"{r['points']:,}", *map(percent, figures),
             twin, r["verdict"]]
        )  # fmt: skip
    print()


def worst(rows: list[dict]) -> None:
    for r in sorted(rows, key=lambda r: -r["p90"])[:8]:
        print(f"- {r['device']}, {r['kernel']}, {r['stratum']}: {r['worst']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("validation", type=Path, nargs="+")
    parser.add_argument("--noise", type=Path, required=True)
    parser.add_argument("--others", action="store_true")
    given = parser.parse_args()
    frame = pl.concat([pl.read_csv(path) for path in given.validation])
    noise = pl.read_csv(given.noise).rename({e: f"noise_{e}" for e in ERRORS}).drop("pairs")
    frame = frame.with_columns(op=pl.col("kernel").str.split(" ").list.first())
    plain = pl.col("op").is_in(PLAIN)
    frame = frame.filter(~plain if given.others else plain)
    rows = frame.join(noise, on=KEYS, how="left", maintain_order="left").to_dicts()
    rows = [r | {"verdict": verdict(r)} for r in sorted(rows, key=lambda r: r["op"])]
    for part in (summary, by_device, worst, strata):
        part(rows)


if __name__ == "__main__":
    main()
