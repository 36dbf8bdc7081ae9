"""Sampling's constants for devices that nobody measured, and how far off they are.

    python benchmarks/sampler_pooled.py PROFILE [--write FILE]

PROFILE is the RTX 4090's profile (LLMServingSim, MIT): its `sampler` rows, of vLLM 0.19.0. Beside
it `sampler_published.csv` holds the same rows of two profiles of an RTX PRO 6000 Blackwell (same
source, commit 72c16bac of casys-kaist/LLMServingSim, `profiler/perf/RTXPRO6000`, `tp1`, greedy):
of vLLM 0.28.0's first runner, which samples as 0.19.0 does, and of its second, which does not: it
is scored, and fitted nowhere. Each time holds the widening of the logits, which the constants for
every device (`datasheet.json`) take off as they would predict it. Each device is left out in turn,
which makes the band: the widest of all strata, since two devices say nothing of each. The
roofline's error is beside.
"""

from __future__ import annotations

import csv
import datetime
from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from tierlab.hwmodels.catalogue import load_system
from tierlab.hwmodels.time.roofline import Roofline, roofline_device
from tierlab.hwmodels.time.silicon.apart import apart
from tierlab.hwmodels.time.silicon.calibration import ANY_DEVICE, Calibration, dump, load
from tierlab.hwmodels.time.silicon.fitted import Bands, Fitted
from tierlab.hwmodels.time.silicon.machine import Machine, machine_of
from tierlab.hwmodels.time.silicon.make import DATASHEET_FILE, of_calibration
from tierlab.hwmodels.time.silicon.measured import Beside, KernelKey, Measured
from tierlab.hwmodels.time.silicon.pooled import ARCHITECTURE, Part, fit_pooled, leave_out
from tierlab.hwmodels.time.silicon.profiled import profiled_gpu, read_profile
from tierlab.hwmodels.time.times import TimeModel
from tierlab.kernels.ops.table import OpTable

PUBLISHED = Path(__file__).with_name("sampler_published.csv")
SAME = "V1"
"""The runner whose sampler widens logits and takes PyTorch's argmax."""


def device(name: str) -> Machine:
    return machine_of(load_system(name).gpu)


def published(runner: str, moves: Measured) -> Part:
    """Return the rows of one runner; `moves` names what stands beside them."""
    with PUBLISHED.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["runner"] == runner]
    count, logits, us = (
        np.array([float(row[c]) for row in rows]) for c in ("sequences", "logits", "time_us")
    )
    ops = OpTable.build("sample", "fp32", "none", m=count, n=logits, k=0.0)
    widened = OpTable.build("elementwise", "bf16", "none", n=logits, bytes=6.0 * count * logits)
    key = KernelKey("sample", "fp32", "none", "vllm", rows[0]["vllm"], f"vllm {runner}")
    source = "LLMServingSim profiles (MIT)"
    return Measured(key, source, ops, us * 1e-6, Beside(widened, moves)), device(rows[0]["device"])


def line(what: str, part: Part, wide: TimeModel, model: TimeModel) -> None:
    """Print the error of widening and sampling together, and how much of it lies in the band."""
    measured, machine = part
    if measured.beside is None:
        raise TypeError(measured.source)
    beside, said = wide.predict(measured.beside.ops), model.predict(measured.ops)
    error = (beside.seconds + said.seconds) / measured.seconds - 1.0
    true = measured.seconds - beside.seconds
    within = ((true >= said.p10) & (true <= said.p90)).mean()
    size = np.abs(error)
    cells = (np.median(size), np.quantile(size, 0.9), np.median(error), within)
    shown = " | ".join(f"{100 * c:.0f}%" for c in cells)
    name = f"{machine.name}, {measured.key.version} {measured.key.kernel}"
    print(f"| {what} | {name} | {len(error)} | {shown} |")


def of_kernels(kernel: Fitted, name: str) -> TimeModel:
    """Return the time model of one kernel on one device."""
    return of_calibration(Calibration(ANY_DEVICE, "here", (kernel,)), load_system(name).gpu, None)


@click.command()
@click.argument("profile", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--write", type=click.Path(path_type=Path))
def main(profile: Path, write: Path | None) -> None:
    """Fit, leave out, print."""
    found = {p.key.op: p for p in read_profile(profile, "PROFILE")}
    known = load(DATASHEET_FILE, "what ships").kernels
    wide = next(k for k in known if k.key.op == "elementwise")
    here = device(profiled_gpu(profile, "PROFILE").removeprefix("NVIDIA "))
    whole = [(found["sample"], here), published(SAME, found["elementwise"])]
    parts = [(apart(m, wide, machine), machine) for m, machine in whole]
    print("| fitted on | scored on | rows | median | p90 | bias | sampling in its band |")
    print("|" + "---|" * 7)
    left_out = []
    for name in dict.fromkeys(ARCHITECTURE[machine.name] for _, machine in parts):
        [(model, unseen)] = leave_out(parts, name)
        left_out.append((model, unseen))
    [pooled] = fit_pooled(parts, left_out)
    low, high = min(pooled.bands.p10), max(pooled.bands.p90)
    pooled = replace(pooled, bands=Bands((low,) * 3, (high,) * 3))
    others = [published("V2", found["elementwise"])]
    scored = [("the other", m, p) for (m, _), p in zip(left_out, whole, strict=True)]
    scored += [("both", pooled, part) for part in [*whole, *others]]
    for what, model, part in scored:
        name = part[1].name
        line(what, part, of_kernels(wide, name), of_kernels(model, name))
    for part in [*whole, *others]:
        roofline = Roofline(roofline_device(load_system(part[1].name).gpu))
        line("roofline", part, roofline, roofline)
    print(pooled.parameters, pooled.bands)
    if write is not None:
        made = f"{datetime.datetime.now(datetime.UTC).date()}: benchmarks/sampler_pooled.py"
        write.write_text(dump(Calibration(ANY_DEVICE, made, (pooled,))), encoding="utf-8")


if __name__ == "__main__":
    main()
