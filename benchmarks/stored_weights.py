"""Products of weights stored in 8 or 4 bits and of int8: constants for every GPU, and how far off.

    python benchmarks/stored_weights.py TABLES [--write FOLDER]

TABLES is the unpacked PyPI package aiconfigurator-core (Apache-2.0; 0.12.0 was used). Held-out
shapes on A100 are `tierlab validate --system a100_sxm --framework trtllm --op gemm`. Here constants
that come from other GPUs or other dtypes are held against int8 tables that they did not see and
against published times, beside the roofline. --write adds A100's fits and the constants for other
GPUs to the calibrations in FOLDER (a100-80g.json, datasheet.json). docs/results/silicon_others.md
keeps the output.

Where the constants come from: int8 products take those of vLLM's fp8 products, which are of the
same sources (``cutlass_scaled_mm``), move as many bytes and run at the same rate of arithmetic.
Stored weights take A100's, of TensorRT-LLM, with the launch and the L2 of the pooled 16-bit ones.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.catalogue import load_system
from tierlab.hwmodels.time.roofline import Roofline, roofline_device
from tierlab.hwmodels.time.silicon.aiconfigurator import read_system
from tierlab.hwmodels.time.silicon.calibration import SHIPPED, Calibration, dump, load
from tierlab.hwmodels.time.silicon.fit import Options, fit
from tierlab.hwmodels.time.silicon.fitted import Bands, Fitted, stratum
from tierlab.hwmodels.time.silicon.holdout import STRATA
from tierlab.hwmodels.time.silicon.machine import machine_of
from tierlab.hwmodels.time.silicon.measured import SEVERAL, KernelKey, Measured
from tierlab.hwmodels.time.silicon.spread import bands
from tierlab.kernels.ops.table import OpTable

Floats = NDArray[np.float64]
Fits = Mapping[str, Fitted]

NARROWEST = 32.0
"""Columns of the H100 table's narrowest products: nearly all of their time is quantising rows."""
SHARE = 0.5
"""Of a row's time, what its product must at least take to count."""
FASTEST = 0.6
"""Of the time: kernels of Hopper's own instructions, such as Machete, have no public table; they do
twice the arithmetic of the others (an assumption, 2026-11-22)."""
SLOWEST = 268.0 / 141.0
"""How much longer the slowest kernel that is known takes for many rows: TFLOP/s of TensorRT-LLM's
on A100 (m = 8,192), over those of vLLM's first Marlin (vllm-project/vllm PR 2497: no GPU is named,
but its 16-bit products ran at 231 TFLOP/s, as an A100's do)."""
SAME = {"int8": "fp8", "int4": "fp4"}
"""Stored dtype -> one that is widened alike and as wide (an assumption, 2026-11-22)."""


class Point(NamedTuple):
    """A published time of a product, us."""

    device: str
    dtype: str
    stored: str
    m: int
    n: int
    k: int
    us: float
    source: str


def _tflops(device: str, stored: str, n: int, k: int, rates: dict[int, float], source: str,
            dtype: str = "bf16") -> list[Point]:  # fmt: skip
    """Return points from the TFLOP/s that were published for some rows."""
    return [
        Point(device, dtype, stored, m, n, k, 2.0 * m * n * k / rate * 1e-6, source)
        for m, rate in rates.items()
    ]


_MARLIN = "Marlin, tile-ai/TileOPs PR 1874"
_HUMMING = "Marlin, inclusionAI/humming PR 2"
_SGL = "int8_scaled_mm, sgl-project/sglang PR 2752"
PUBLISHED = [
    Point("H200", "bf16", "int4", 1, 8192, 8192, 20.3, _MARLIN),
    Point("H200", "bf16", "int4", 1, 8192, 16384, 38.1, _MARLIN),
    Point("H200", "bf16", "int4", 1, 7168, 20480, 40.6, _MARLIN),
    Point("H200", "bf16", "int4", 1, 8192, 81920, 138.4, _MARLIN),
    *_tflops("H100", "int4", 8192, 8192, {1: 4.98, 2: 10.02, 4: 19.85}, _HUMMING),
    *_tflops("H100", "int8", 8192, 8192, {1: 3.46, 2: 6.87, 4: 13.75}, _HUMMING),
    *_tflops(
        "A100-80G", "int8", 8192, 21760,
        {1: 2.715, 16: 43.82, 64: 170.5, 128: 278.9, 256: 312.4, 512: 434.7, 1024: 507.6,
         2048: 501.5},
        _SGL, "int8",
    ),
    *_tflops(
        "A100-80G", "int8", 4096, 8192,
        {1: 1.604, 16: 26.12, 64: 94.58, 128: 178.9, 256: 268.1, 512: 305.8, 1024: 415.4,
         2048: 499.0},
        _SGL, "int8",
    ),
]  # fmt: skip
"""Kernels alone; SGLang's with what two events and a launch add."""


def table(root: Path, system: str, framework: str, dtype: str, stored: str) -> Measured:
    """Return one table of products."""
    parts = read_system(system, framework, None, root)
    wanted = ("gemm", dtype, stored)
    return next(p for p in parts if (p.key.op, p.key.dtype, p.key.kv_dtype) == wanted)


def product_alone(part: Measured) -> Measured:
    """Return rows less what quantising their input took: what the narrowest product took.

    Those of which the product is most.
    """
    at = list(zip(part.ops["m"], part.ops["k"], strict=True))
    narrowest = np.flatnonzero(part.ops["n"] == NARROWEST)
    quantising = {at[i]: part.seconds[i] for i in narrowest}
    left = part.seconds - np.array([quantising[one] for one in at])
    kept = left > SHARE * part.seconds
    return Measured(part.key, part.source, part.ops.take(kept), left[kept])


def without_quantising(one: Fitted) -> Fitted:
    """Return it with nothing for quantising the input."""
    none = dict.fromkeys(("input_us", "input_pass", "row_ns", "element_c", "odd"), 0.0)
    return replace(one, parameters={**one.parameters, **none})


def roofline_s(device: str, ops: OpTable) -> Floats:
    return Roofline(roofline_device(load_system(device).gpu, None)).predict(ops).seconds


def strata(device: str, what: str, true: Floats, said: Floats, roof: Floats) -> Iterator[str]:
    """Yield a line for each stratum: median and p90 error and bias, and the roofline's."""
    for s, name in enumerate(STRATA):
        rows = stratum(true) == s
        if rows.sum() < 30:
            continue
        error, flat = said[rows] / true[rows] - 1.0, np.abs(roof[rows] / true[rows] - 1.0)
        size = np.abs(error)
        shown = (np.median(size), np.quantile(size, 0.9), np.median(error))
        shown += (np.median(flat), np.quantile(flat, 0.9))
        cells = " | ".join(f"{100 * x:.0f}%" for x in shown)
        yield f"| {device} | {what} | {name} | {rows.sum():,} | {cells} |"


def int8_for_others(fp8: Fitted, unseen: list[tuple[str, Measured]]) -> Fitted:
    """Return the constants of int8 products, with the band of what they miss on `unseen`."""
    bare, errors, said = without_quantising(fp8), [], []
    for device, part in unseen:
        seconds = bare.formula_s(part.ops, machine_of(load_system(device).gpu))
        errors.append(np.log(part.seconds / seconds))
        said.append(seconds)
    few = min(map(len, errors))
    chosen = [np.random.default_rng(0).permutation(len(e))[:few] for e in errors]
    alike = ([v[c] for v, c in zip(vs, chosen, strict=True)] for vs in (errors, said))
    source = f"{fp8.source}, fp8; band: int8 on {' and '.join(d for d, _ in unseen)}"
    key = replace(fp8.key, dtype="int8", kv_dtype="int8")
    return replace(fp8, key=key, bands=bands(*map(np.concatenate, alike)), source=source)


def weights_for_others(one: Fitted, wide: Fitted) -> Iterator[Fitted]:
    """Yield the constants of stored weights on other GPUs, for each dtype that is as wide.

    Their band has no second device to come from: it is that of 16-bit products on an architecture
    that was left out, and beside it what the formula misses on the device that was fitted; over
    100 us it reaches to the slowest kernel and to the fastest that may be. L2's bandwidth is that
    of 16-bit products, too: beside its memory the A100's is too slow for others.
    """
    launch_us = wide.parameters["launch_us"] + wide.parameters["miss_us"]
    low = [-np.hypot(*np.log(pair)) for pair in zip(one.bands.p10, wide.bands.p10, strict=True)]
    high = [np.hypot(*np.log(pair)) for pair in zip(one.bands.p90, wide.bands.p90, strict=True)]
    low[-1], high[-1] = min(low[-1], np.log(FASTEST)), max(high[-1], np.log(SLOWEST))
    band = Bands(*(tuple(np.exp(side).tolist()) for side in (low, high)))
    source = f"{one.source}; launch, L2 and band of 16-bit ones (assumption, 2026-11-22)"
    for stored in (one.key.kv_dtype, SAME[one.key.kv_dtype]):
        key = KernelKey("gemm", "bf16", stored, one.key.framework, SEVERAL, "pooled")
        taken = {"launch_us": round(launch_us, 4), "l2_speed": wide.parameters["l2_speed"]}
        parameters = {**one.parameters, **taken}
        yield replace(one, key=key, parameters=parameters, bands=band, source=source)


def published(made: Fits) -> None:
    print("| device | weights | rows | n | k | published, us | said | band | roofline | source |")
    print("|---" * 10 + "|")
    for p in PUBLISHED:
        ops = OpTable.build("gemm", p.dtype, p.stored, m=[p.m], n=[p.n], k=[p.k])
        model = made[f"{p.dtype}/{p.stored}"]
        if p.dtype == "int8":
            model = without_quantising(model)
        said = model.predict(ops, machine_of(load_system(p.device).gpu))
        band = f"{said.p10[0] * 1e6:.0f} to {said.p90[0] * 1e6:.0f}"
        shown = f"{p.us:.1f} | {said.seconds[0] * 1e6:.1f} | {band}"
        roof = roofline_s(p.device, ops)[0] * 1e6
        what = f"{p.device} | {p.dtype}/{p.stored} | {p.m} | {p.n} | {p.k}"
        print(f"| {what} | {shown} | {roof:.1f} | {p.source} |")


def add(folder: Path, name: str, new: list[Fitted]) -> None:
    """Append kernels to a calibration; lines of others stay as they are."""
    path, today = folder / name, datetime.datetime.now(datetime.UTC).date()
    head, *lines, end = path.read_text(encoding="utf-8").splitlines()
    about, mine = json.loads(f"{head}{end}"), f"{today}: benchmarks/stored_weights.py"
    made = about["made"] if mine in about["made"] else f"{about['made']}; {mine}"
    added = dump(Calibration(about["device"], made, tuple(new))).splitlines()
    kept = [f"{line.rstrip(',')}," for line in lines if _key(line) not in map(_key, added[1:-1])]
    text = "\n".join([added[0], *kept, *added[1:-1], end, ""])
    path.write_text(text, encoding="utf-8")
    load(path, str(path))


def _plain(key: KernelKey) -> bool:
    """Say whether weights are stored as they are multiplied."""
    return key.kv_dtype in ("none", key.dtype)


def _key(line: str) -> tuple[object, ...]:
    one = json.loads(line.rstrip(","))
    return tuple(one[field.name] for field in fields(KernelKey))


@click.command()
@click.argument("tables", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--write", "folder", type=click.Path(path_type=Path, exists=True), metavar="FOLDER")
def main(tables: Path, folder: Path | None) -> None:
    """Print the tables; TABLES is the unpacked package."""
    device = "A100-80G"
    a100 = machine_of(load_system(device).gpu)
    shipped = load(SHIPPED / "datasheet.json", "the constants that ship").kernels
    pooled = {k.key.dtype: k for k in shipped if k.key.op == "gemm" and _plain(k.key)}
    parts = {
        f"{d}/{s}": table(tables, "a100_sxm", "trtllm", d, s)
        for d, s in (("bf16", "int8"), ("bf16", "int4"), ("int8", "int8"))
    }
    bare = {name: fit(part, a100, Options(trees=False)) for name, part in parts.items()}
    h100 = product_alone(table(tables, "h100_sxm", "sglang", "int8", "int8"))
    int8 = int8_for_others(pooled["fp8"], [(device, parts["int8/int8"]), ("H100", h100)])
    made = {"int8/int8": int8}
    for name in ("bf16/int8", "bf16/int4"):
        found = weights_for_others(bare[name], pooled["bf16"])
        made |= {f"bf16/{one.key.kv_dtype}": one for one in found}
    print("| device | constants | stratum | rows | median | p90 | bias | roofline | its p90 |")
    print("|---" * 9 + "|")
    for where, part in ((device, parts["int8/int8"]), ("H100", h100)):
        said = without_quantising(int8).formula_s(part.ops, machine_of(load_system(where).gpu))
        roof = roofline_s(where, part.ops)
        print(*strata(where, "int8, of fp8", part.seconds, said, roof), sep="\n")
    for name, part in parts.items():
        said, roof = bare[name].formula_s(part.ops, a100), roofline_s(device, part.ops)
        print(*strata(device, f"{name}, its own", part.seconds, said, roof), sep="\n")
    print()
    published(made)
    if folder is not None:
        own = [fit(part, a100, Options()) for part in parts.values()]
        add(folder, "a100-80g.json", own)
        add(folder, "datasheet.json", list(made.values()))


if __name__ == "__main__":
    main()
