"""Hold the kernel models against public silicon, and make what ships from it.

    python benchmarks/validate_silicon.py [--tables DIR] datasheet [--write FILE] [--op OP]
    python benchmarks/validate_silicon.py [--tables DIR] points
    python benchmarks/validate_silicon.py [--tables DIR] beyond
    python benchmarks/validate_silicon.py [--tables DIR] seen --write FILE.csv [--op OP]
    python benchmarks/validate_silicon.py [--tables DIR] ship FOLDER
    python benchmarks/validate_silicon.py [--tables DIR] others FOLDER

Held-out shapes of calibrated models are `tierlab validate`. `datasheet` leaves out an architecture
as a whole and writes the constants of all; `points` shows the held-out error against the number of
measurements fitted; `beyond` fits without the largest octaves of a size and shows what these take,
by how far out they are; `seen` leaves out single rows, whose groups the fit saw: no figure of
merit, but what no model of shapes left out by group can be asked to reach; `ship` writes the
calibrations of the five devices, `others` only adds to them what is not plain attention or GEMM.
The tables are those of the PyPI package aiconfigurator-core (Apache-2.0; 0.12.0 was used),
installed, or unpacked into DIR. docs/results/silicon.md keeps the output.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

from tierlab.hwmodels.catalogue import load_device
from tierlab.hwmodels.device import Gpu
from tierlab.hwmodels.time.silicon.aiconfigurator import DEVICES, read_system
from tierlab.hwmodels.time.silicon.calibration import ANY_DEVICE, Calibration, dump
from tierlab.hwmodels.time.silicon.fit import Options, fit
from tierlab.hwmodels.time.silicon.fitted import WIDER, WIDER_AN_OCTAVE, Fitted, stratum
from tierlab.hwmodels.time.silicon.holdout import FEWEST, PARTS, Row, ask, score, split
from tierlab.hwmodels.time.silicon.machine import Machine, machine_of
from tierlab.hwmodels.time.silicon.measured import Measured
from tierlab.hwmodels.time.silicon.others import read_others
from tierlab.hwmodels.time.silicon.pooled import (
    ARCHITECTURE,
    ATTENTION,
    Part,
    default_parts,
    fit_pooled,
    leave_out,
)
from tierlab.hwmodels.time.silicon.registry import KERNELS
from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.cli.calibrate_from import calibrate_from

PLAIN = ("decode_attention", "prefill_attention", "gemm")
SMALL = ("elementwise", "top_k")
"""Kernels that only move rows: what quantising 16-bit rows to 8 bits takes stands for all; and
selection."""
MLA = ("mla_decode", "mla_prefill")
OTHERS = {"trtllm": (*MLA, "batched_gemm"), "sglang": ("grouped_gemm", "mamba_decode", "top_k")}
"""Read of other frameworks where vLLM's tables lack it: these hold whole MLA modules."""
TEACHERS = {"rtx_pro_6000_server": "RTX-PRO-6000"}
"""System of the package -> device, beside those with a calibration: see `_teaches`."""
COUNTS = (50, 200, 1000, 40000)
_FA3 = "vllm_flash_attn_fa3"
BEYOND = (
    ("h200_sxm", f"prefill_attention bf16 {_FA3}", "q_len", 1024),
    ("h200_sxm", f"prefill_attention bf16 {_FA3}", "q_len", 4096),
    ("h200_sxm", f"decode_attention bf16 {_FA3}", "kv_len", 2048),
    ("h200_sxm", f"decode_attention bf16 {_FA3}", "kv_len", 16384),
    ("h200_sxm", f"decode_attention bf16/fp8 {_FA3}", "batch", 64),
    ("h200_sxm", "gemm bf16 torch.nn.functional.linear", "m", 512),
    ("h200_sxm", "gemm bf16 torch.nn.functional.linear", "m", 4096),
    ("l40s", "prefill_attention bf16 vllm_flash_attn_fa2", "q_len", 1024),
    ("l40s", "prefill_attention bf16 vllm_flash_attn_fa2", "q_len", 4096),
    ("b200_sxm", "prefill_attention bf16 vllm_flashinfer_trtllmprefill", "q_len", 2048),
    ("b200_sxm", "gemm fp8 cutlassfp8scaledmmlinearkernel", "m", 1024),
)
"""System, kernel, and a size with the most that is fitted."""
FOR_BEYOND = 8000
OCTAVES = (0.0, 0.6, 1.2, 2.2, 3.2, 9.0)


def machine(name: str) -> Machine:
    device = load_device(name, name)
    if not isinstance(device, Gpu):
        raise TypeError(name)
    return machine_of(device)


def kernels(tables: Path | None) -> dict[tuple[str, str, str, bool], list[Part]]:
    """Return the default kernel of each device, by what it computes."""
    found: dict[tuple[str, str, str, bool], list[Part]] = {}
    for system, name in {**DEVICES, **TEACHERS}.items():
        parts = read_system(system, "vllm", None, tables)
        if system in DEVICES:
            others = read_others(system, "vllm", None, tables)
            parts += [p for p in others if p.key.op in SMALL]
        for key, part in default_parts(parts).items():
            if system in DEVICES or _teaches(key):
                found.setdefault(key, []).append((part, machine(name)))
    return found


def _teaches(key: tuple[str, str, str, bool]) -> bool:
    """Say whether a kernel of another device is read: attention, and products by vLLM's own."""
    return key[0] in ATTENTION or key[:2] == ("gemm", "fp8")


def row(model: Fitted, left_out: str, measured: Measured, device: Machine) -> None:
    error = model.seconds(measured.ops, device)[0] / measured.seconds - 1.0
    size, true = np.abs(error), measured.seconds
    strata = [size[stratum(true) == s] for s in range(3)]
    cells = [np.median(size), np.quantile(size, 0.9), (size * true).sum() / true.sum()]
    cells += [np.median(error)] + [np.median(s) if len(s) else np.nan for s in strata]
    shown = " | ".join(f"{100 * c:.0f}%" for c in cells)
    what = f"{measured.key.label()} | {left_out} | {device.name}"
    print(f"| {what} | {len(true):,} | {shown} |", flush=True)


def datasheet(tables: Path | None, write: Path | None, only: str | None) -> None:
    print("| kernel | left out | device | points | median | p90 | by time | bias", end=" ")
    print("| under 20 us | 20-100 us | over 100 us |\n" + "|---" * 11 + "|")
    pooled: list[Fitted] = []
    known = kernels(tables)
    for key, parts in known.items():
        if only is not None and key[0] != only:
            continue
        family = [p for k, ps in known.items() if k[0] == key[0] for p in ps]
        left_out = []
        for name in dict.fromkeys(ARCHITECTURE.values()):
            if {ARCHITECTURE[m.name] for _, m in parts} <= {name}:
                continue
            for model, unseen in leave_out(parts, name, family=family):
                left_out.append((model, unseen))
                for measured, device in unseen:
                    row(model, name, measured, device)
        pooled += fit_pooled(parts, left_out)
    if write is not None:
        today = datetime.datetime.now(datetime.UTC).date()
        made = f"{today}: benchmarks/validate_silicon.py datasheet"
        write.write_text(dump(Calibration(ANY_DEVICE, made, tuple(pooled))), encoding="utf-8")


def points(tables: Path | None) -> None:
    print("| kernel on H200 | fitted | trees | under 20 us | 20-100 us | over 100 us |")
    print("|---|---|---|---|---|---|")
    device = machine("H200")
    for key, part in default_parts(read_system("h200_sxm", "vllm", None, tables)).items():
        if key[3]:
            continue
        known, unseen = split(part)
        for count in COUNTS:
            for trees in (False, True):
                model = fit(known, device, Options(count, trees))
                rows = score(ask(model, unseen, device), unseen, device, model.points)
                cells = " | ".join(f"{100 * r.median:.1f}% / {100 * r.p90:.1f}%" for r in rows)
                what = f"{part.key.label()} | {count:,} | {'yes' if trees else 'no'}"
                print(f"| {what} | {cells} |", flush=True)


def beyond(tables: Path | None) -> None:
    print("| device | kernel | fitted up to | octaves out | rows | median | p90 | in band", end=" ")
    print("| 80% within, times the band |\n" + "|---" * 9 + "|")
    for system, label, column, most in BEYOND:
        device = machine(DEVICES[system])
        parts = read_system(system, "vllm", None, tables)
        part = next(p for p in parts if p.key.label() == label)
        inside = part.ops[column] <= most
        model = fit(part.take(inside), device, Options(points=FOR_BEYOND))
        unseen = part.take(~inside)
        said = model.predict(unseen.ops, device)
        far = model.outside(unseen.ops)
        left = np.log(unseen.seconds / said.seconds)
        edge = np.log(np.where(left > 0, said.p90, said.p10) / said.seconds)
        needed = left / edge * (WIDER + WIDER_AN_OCTAVE * far)
        for low, high in pairwise(OCTAVES):
            mine = (far > low) & (far <= high)
            if mine.sum() < FEWEST:
                continue
            size = np.abs(np.expm1(-left[mine]))
            shares = (np.median(size), np.quantile(size, 0.9), (left / edge <= 1.0)[mine].mean())
            shown = " | ".join(f"{100 * s:.0f}%" for s in shares)
            where = f"{device.name} | {label} | {column} = {most:,} | {low:g}-{high:g}"
            print(f"| {where} | {mine.sum():,} | {shown} | {np.quantile(needed[mine], 0.8):.1f} |")


def seen(tables: Path | None, target: Path, only: str | None) -> None:
    found: list[Row] = []
    for system, name in DEVICES.items():
        device = machine(name)
        for part in read_system(system, "vllm", None, tables):
            if part.key.op != (only or part.key.op) or len(part) < PARTS * FEWEST:
                continue
            out = np.random.default_rng(0).permutation(len(part)) % PARTS == 0
            model = fit(part.take(~out), device, Options())
            unseen = part.take(out)
            found += score(ask(model, unseen, device), unseen, device, model.points)
            print(f"{name}: {part.key.label()}", flush=True)
    pl.DataFrame([asdict(row) for row in found]).write_csv(target)


def ship(tables: Path | None, folder: Path) -> None:
    for system, name in DEVICES.items():
        target = folder / f"{name.lower()}.json"
        calibrate_from("aiconfigurator", target, system=system, tables=tables, ops=PLAIN)


def others(tables: Path | None, folder: Path) -> None:
    own = tuple(sorted(set(KERNELS) - {*PLAIN, *MLA}))
    for system, name in DEVICES.items():
        target = folder / f"{name.lower()}.json"
        for framework, ops in {"vllm": own, **OTHERS}.items():
            with contextlib.suppress(BadInput):  # nothing is lacking
                calibrate_from(
                    "aiconfigurator", target, system=system, framework=framework, tables=tables,
                    ops=ops, onto=target, lacking=framework != "vllm",
                )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=Path)
    parser.add_argument("what", choices=("datasheet", "points", "beyond", "seen", "ship", "others"))
    parser.add_argument("folder", type=Path, nargs="?", default=Path("hwmodels/calibration"))
    parser.add_argument("--write", type=Path)
    parser.add_argument("--op", help="datasheet of one operation; what is written holds no other")
    given = parser.parse_args()
    if given.what == "datasheet":
        datasheet(given.tables, given.write, given.op)
    elif given.what == "points":
        points(given.tables)
    elif given.what == "beyond":
        beyond(given.tables)
    elif given.what == "seen":
        seen(given.tables, given.write or Path("seen.csv"), given.op)
    elif given.what == "others":
        others(given.tables, given.folder)
    else:
        ship(given.tables, given.folder)
        others(given.tables, given.folder)


if __name__ == "__main__":
    main()
