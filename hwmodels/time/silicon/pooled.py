"""Constants for devices that nobody measured: one set of parameters over several architectures.

Parameters are shares of datasheet figures, cycles and microseconds, so they carry over; what a
formula leaves over on one device does not, so there are no trees. The band is what the formulas
miss on an architecture that was left out of their fit.

Attention kernels differ by architecture (`engines`). Constants for one are those of the same kernel
elsewhere where that was measured, else one set over all kernels of the operation, full and
windowed, 16 and 8 bit, each architecture counting alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.silicon import engines
from tierlab.hwmodels.time.silicon.fit import (
    MOST_STEPS,
    NotConverged,
    draw,
    fit_parameters,
    minimise,
)
from tierlab.hwmodels.time.silicon.fitted import Bands, Fitted
from tierlab.hwmodels.time.silicon.kernel import ENGINE
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.measured import SEVERAL, KernelKey, Measured
from tierlab.hwmodels.time.silicon.registry import KERNELS
from tierlab.hwmodels.time.silicon.spread import bands

Floats = NDArray[np.float64]
Part = tuple[Measured, Machine]

ARCHITECTURE: Mapping[str, str] = {
    "H200": "Hopper", "H100": "Hopper", "A100-80G": "Ampere", "L40S": "Ada", "B200": "Blackwell",
    "RTX-PRO-6000": "Blackwell", "RTX-4090": "Ada",
}  # fmt: skip
"""Device of the catalogue -> architecture."""
PER_DEVICE = 4000
"""Measurements of each device that give the band."""
PER_KIND = 240
"""Points of one architecture and one kind of attention (stored dtype, windowed) that are fitted."""
ATTENTION = ("decode_attention", "prefill_attention")


def default_parts(parts: Sequence[Measured]) -> dict[tuple[str, str, str, bool], Measured]:
    """Return one kernel for each (op, dtype, stored dtype, windowed): the one with most points.

    Kernels with block scales are passed over, as `model` does.
    """
    best: dict[tuple[str, str, str, bool], Measured] = {}
    for part in sorted(parts, key=lambda p: ("block" in p.key.kernel, -len(p))):
        k = part.key
        best.setdefault((k.op, k.dtype, k.kv_dtype, k.windowed), part)
    return best


def leave_out(
    parts: Sequence[Part], architecture: str, seed: int = 0, family: Sequence[Part] = ()
) -> list[tuple[Fitted, list[Part]]]:
    """Fit on the other architectures; return each model with the parts that were left out.

    Parameters
    ----------
    parts
        One kernel's measurements on each device.
    architecture
        What to leave out.
    seed
        Of the draws.
    family
        For attention, all measurements of the operation: full and windowed, of every stored dtype.
    """
    unseen = [p for p in parts if ARCHITECTURE[p[1].name] == architecture]
    if parts[0][0].key.op not in ATTENTION:
        seen = [p for p in parts if ARCHITECTURE[p[1].name] != architecture]
        return [(_fit(seen, seed), unseen)]
    known = [p for p in family if ARCHITECTURE[p[1].name] != architecture]
    made = []
    for name in dict.fromkeys(map(_engine, unseen)):
        here = [p for p in unseen if _engine(p) == name]
        windowed = here[0][0].key.windowed
        same = [p for p in known if _engine(p) == name and p[0].key.windowed == windowed]
        made.append((_taught(here[0], same or known, name if same else ENGINE, seed), here))
    return made


def fit_pooled(
    parts: Sequence[Part], left_out: Sequence[tuple[Fitted, list[Part]]], seed: int = 0
) -> list[Fitted]:
    """Fit on all architectures, with the band of each that was left out in turn.

    Parameters
    ----------
    parts
        One kernel's measurements on each device.
    left_out
        What `leave_out` gave for each architecture in turn.
    seed
        Of the draws.

    Returns
    -------
    list of Fitted
        One; for attention, one for each of the kernels (`engines`) that were measured.
    """
    if parts[0][0].key.op in ATTENTION:
        names = dict.fromkeys(map(_engine, parts))
        same = {name: [p for p in parts if _engine(p) == name] for name in names}
        made = [_taught(kind[0], kind, name, seed) for name, kind in same.items()]
    else:
        made = [_fit(list(parts), seed)]
    band = _band(left_out, seed)
    return [m if band is None else replace(m, bands=band) for m in made]


def _band(left_out: Sequence[tuple[Fitted, list[Part]]], seed: int) -> Bands | None:
    errors: list[Floats] = []
    predicted: list[Floats] = []
    for model, unseen in left_out:
        for measured, machine in unseen:
            few = measured.take(draw(measured.seconds, PER_DEVICE, seed))
            seconds, _ = model.seconds(few.ops, machine)
            errors.append(np.log(few.seconds / seconds))
            predicted.append(seconds)
    return bands(np.concatenate(errors), np.concatenate(predicted)) if errors else None


def _engine(part: Part) -> str:
    return engines.engine(part[1], eight=engines.narrow(part[0].ops))


def _taught(target: Part, teachers: Sequence[Part], schedule: str, seed: int) -> Fitted:
    """Fit one kernel's constants, each architecture and kind of attention counting alike."""
    kinds: dict[tuple[str, str, bool], list[Part]] = {}
    for part in teachers:
        key = part[0].key
        kinds.setdefault((ARCHITECTURE[part[1].name], key.kv_dtype, key.windowed), []).append(part)
    drawn = [
        (m.take(draw(m.seconds, PER_KIND // len(kind), seed)), machine)
        for kind in kinds.values()
        for m, machine in kind
    ]
    values, _, converged = minimise(KERNELS[target[0].key.op], drawn, schedule, MOST_STEPS)
    if not converged:
        raise NotConverged(f"{target[0].key.op}, schedule {schedule}")
    return _fitted(target[0].key, list(teachers), schedule, values)


def _fit(parts: list[Part], seed: int) -> Fitted:
    key = parts[0][0].key
    schedule, values = fit_parameters(KERNELS[key.op], parts, seed)
    return _fitted(key, parts, schedule, values)


def _fitted(of: KernelKey, parts: list[Part], schedule: str, values: Mapping[str, float]) -> Fitted:
    kernel = KERNELS[of.op]
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
        of.op, of.dtype, of.kv_dtype, "+".join(sorted(frameworks)), SEVERAL,
        "pooled" if of.op not in ATTENTION else f"pooled {schedule}", of.windowed,
    )  # fmt: skip
    return Fitted(
        key, schedule, values, None, bands(np.concatenate(residuals), np.concatenate(predicted)),
        ranges, sum(len(p) for p, _ in parts), sum(int(p.groups().max()) + 1 for p, _ in parts),
        f"{parts[0][0].source.split(':')[0]}: {names}",
    )  # fmt: skip
