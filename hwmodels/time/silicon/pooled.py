"""Constants for devices that nobody measured: one set of parameters over several architectures.

Parameters are shares of datasheet figures, cycles and microseconds, so they carry over; what a
formula leaves over on one device does not, so there are no trees. The band is what the formulas
miss on an architecture that was left out of their fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.silicon.fit import draw, fit_parameters
from tierlab.hwmodels.time.silicon.fitted import Fitted
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.measured import KernelKey, Measured
from tierlab.hwmodels.time.silicon.registry import KERNELS
from tierlab.hwmodels.time.silicon.spread import bands

Floats = NDArray[np.float64]
Part = tuple[Measured, Machine]

ARCHITECTURE: Mapping[str, str] = {
    "H200": "Hopper", "H100": "Hopper", "A100-80G": "Ampere", "L40S": "Ada", "B200": "Blackwell",
}  # fmt: skip
"""Device of the catalogue -> architecture."""
PER_DEVICE = 4000
"""Measurements of each device that give the band."""


def default_parts(parts: Sequence[Measured]) -> dict[tuple[str, str, str, bool], Measured]:
    """Return one kernel for each (op, dtype, stored dtype, windowed): the one with most points.

    Kernels with block scales are passed over, as `model` does.
    """
    best: dict[tuple[str, str, str, bool], Measured] = {}
    for part in sorted(parts, key=lambda p: ("block" in p.key.kernel, -len(p))):
        k = part.key
        best.setdefault((k.op, k.dtype, k.kv_dtype, k.windowed), part)
    return best


def leave_out(parts: Sequence[Part], architecture: str, seed: int = 0) -> tuple[Fitted, list[Part]]:
    """Fit on the other architectures; return the model and the parts that were left out."""
    seen = [p for p in parts if ARCHITECTURE[p[1].name] != architecture]
    unseen = [p for p in parts if ARCHITECTURE[p[1].name] == architecture]
    return _fit(seen, seed), unseen


def fit_pooled(
    parts: Sequence[Part], left_out: Sequence[tuple[Fitted, list[Part]]], seed: int = 0
) -> Fitted:
    """Fit on all architectures, with the band of each that was left out in turn.

    Parameters
    ----------
    parts
        One kernel's measurements on each device.
    left_out
        What `leave_out` gave for each architecture in turn.
    """
    made = _fit(list(parts), seed)
    errors: list[Floats] = []
    predicted: list[Floats] = []
    for model, unseen in left_out:
        for measured, machine in unseen:
            few = measured.take(draw(measured.seconds, PER_DEVICE, seed))
            seconds, _ = model.seconds(few.ops, machine)
            errors.append(np.log(few.seconds / seconds))
            predicted.append(seconds)
    band = bands(np.concatenate(errors), np.concatenate(predicted)) if errors else made.bands
    return Fitted(
        made.key, made.schedule, made.parameters, None, band, made.ranges, made.points,
        made.groups, made.source,
    )  # fmt: skip


def _fit(parts: list[Part], seed: int) -> Fitted:
    first = parts[0][0].key
    kernel = KERNELS[first.op]
    schedule, values = fit_parameters(kernel, parts, seed)
    residuals, predicted, spans = [], [], []
    for measured, machine in parts:
        seconds = kernel.seconds(measured.ops, machine, schedule, values)
        residuals.append(np.log(measured.seconds / seconds))
        predicted.append(seconds)
        at = kernel.coordinates(measured.ops)
        spans.append({k: (float(v.min()), float(v.max())) for k, v in at.items()})
    ranges = {k: (min(s[k][0] for s in spans), max(s[k][1] for s in spans)) for k in spans[0]}
    names = "+".join(sorted({m.name for _, m in parts}))
    frameworks = {p.key.framework for p, _ in parts}
    key = KernelKey(
        first.op, first.dtype, first.kv_dtype, "+".join(sorted(frameworks)), "several",
        "pooled", first.windowed,
    )  # fmt: skip
    return Fitted(
        key, schedule, values, None, bands(np.concatenate(residuals), np.concatenate(predicted)),
        ranges, sum(len(p) for p, _ in parts), sum(int(p.groups().max()) + 1 for p, _ in parts),
        f"{parts[0][0].source.split(':')[0]}: {names}",
    )  # fmt: skip
