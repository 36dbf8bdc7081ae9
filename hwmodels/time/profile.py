"""A profile of whole-step kernels: measured times of a model's layers on one GPU, by batch.

The layout is LLMServingSim's (casys-kaist/LLMServingSim, MIT), a folder with

- ``dense.csv`` (layer, tokens, time_us): kernels whose time depends on the token count;
- ``per_sequence.csv`` (layer, sequences, time_us): output projection and sampling;
- ``attention.csv`` (prefill_chunk, kv_prefill, n_decode, kv_decode, time_us): one attention
  kernel over a prefill chunk after `kv_prefill` keys, together with decodes of `kv_decode` keys;
- ``skew.csv``, where it is asked for: what batches of unlike lengths take (`ragged`).

A profile says what operations alone cannot: in a mixed batch one kernel serves prefill and decode,
and on an RTX 4090 it takes up to eight times what the two take apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.fullgrid import Grid
from tierlab.hwmodels.time.profilecsv import number, read_rows
from tierlab.hwmodels.time.ragged import load_ragged
from tierlab.kernels.base.errors import BadInput

Floats = NDArray[np.float64]

ONCE = ("embedding", "final_layernorm")
"""Kernels of ``dense.csv`` that run once a step; the others run once a layer."""
TWICE = ("layernorm",)
"""Kernels that run twice a layer."""
_ATTENTION = ("prefill_chunk", "kv_prefill", "n_decode", "kv_decode")


@dataclass(frozen=True, eq=False)
class Curve:
    """Seconds over a count: linear between measured points, in proportion beyond the last."""

    counts: Floats
    seconds: Floats

    def at(self, count: Floats | float) -> Floats:
        """Return the seconds at each count."""
        x = np.asarray(count, np.float64)
        beyond = np.maximum(x - self.counts[-1], 0.0) * self.seconds[-1] / self.counts[-1]
        out: Floats = np.interp(x, self.counts, self.seconds) + beyond
        return out


@dataclass(frozen=True, eq=False)
class StepProfile:
    """Measured step times of one model on one GPU.

    Attributes
    ----------
    dense, head
        Seconds by tokens, all layers; and by sequences.
    attention
        Seconds of all layers over (chunk, keys before it, decodes, their keys).
    ragged
        What attention takes of that over (chunk, decodes, mean keys, longest over mean less one);
        None where lengths make no difference.
    """

    name: str
    dense: Curve
    head: Curve
    attention: Grid
    ragged: Grid | None = None


def load_profile(folder: Path, layers: int, where: str, ragged: bool = False) -> StepProfile:
    """Read a profile of one layer and stand it for `layers` of them.

    Parameters
    ----------
    ragged
        Whether batches of unlike lengths take longer, by ``skew.csv``.

    Raises
    ------
    BadInput
        A file or column is missing, a time is no positive number, or attention was measured at
        too few points.
    """
    dense = _kernels(folder / "dense.csv", "tokens", where)
    once = _curve(dense, lambda layer: 1.0 if layer in ONCE else 0.0)
    each = _curve(dense, _runs)
    head = _curve(_kernels(folder / "per_sequence.csv", "sequences", where), lambda layer: 1.0)
    attention = _grid(folder / "attention.csv", where)
    return StepProfile(
        f"profile {folder.name}",
        Curve(each.counts, once.at(each.counts) + layers * each.seconds),
        head,
        Grid(attention.axes, layers * attention.seconds),
        load_ragged(folder / "skew.csv", where) if ragged else None,
    )


def _runs(layer: str) -> float:
    if layer in ONCE:
        return 0.0
    return 2.0 if layer in TWICE else 1.0


def _kernels(path: Path, count: str, where: str) -> list[tuple[str, float, float]]:
    """Return (kernel, count, seconds) of each row."""
    rows = enumerate(read_rows(path, ("layer", count, "time_us"), where), 2)
    return [
        (r["layer"], number(r, count, f"{path}:{i}"), number(r, "time_us", f"{path}:{i}") * 1e-6)
        for i, r in rows
    ]


def _curve(rows: list[tuple[str, float, float]], runs: Callable[[str], float]) -> Curve:
    """Sum the kernels of one step at each count that all of them were measured at."""
    kernels = {layer for layer, *_ in rows}
    sums: dict[float, float] = {}
    seen: dict[float, int] = {}
    for layer, at, time_s in rows:
        sums[at] = sums.get(at, 0.0) + runs(layer) * time_s
        seen[at] = seen.get(at, 0) + 1
    counts = sorted(at for at, n in seen.items() if n == len(kernels))
    return Curve(np.array(counts), np.array([sums[at] for at in counts]))


def _grid(path: Path, where: str) -> Grid:
    rows = read_rows(path, (*_ATTENTION, "time_us"), where)
    points = np.array(
        [
            [number(r, c, f"{path}:{i}") for c in (*_ATTENTION, "time_us")]
            for i, r in enumerate(rows, 2)
        ]
    )
    axes = tuple(np.unique(points[:, i]) for i in range(4))
    seconds = np.full([len(a) for a in axes], np.nan)
    index = tuple(np.searchsorted(a, points[:, i]) for i, a in enumerate(axes))
    seconds[index] = points[:, 4] * 1e-6
    filled = _without_holes(seconds, axes[3])
    if np.isnan(filled).any():
        hole = [float(a[i]) for a, i in zip(axes, np.argwhere(np.isnan(filled))[0], strict=True)]
        raise BadInput(str(path), f"no time near {hole}", f"a grid of {', '.join(_ATTENTION)}")
    return Grid(axes, filled)


def _without_holes(seconds: Floats, kv_decode: Floats) -> Floats:
    """Fill what was not run.

    Without a chunk, or without decodes, there are no keys of theirs. Decodes too long to fit
    continue as their last two measured lengths point. A chunk that leaves no room in the token
    budget for decodes takes what the next smaller chunk takes with them, plus what the chunks
    differ by alone.
    """
    seconds[0] = seconds[0, :1]
    seconds[:, :, 0] = seconds[:, :, 0, :1]
    seconds[0, :, 0] = 0.0
    for line in seconds.reshape(-1, len(kv_decode)):
        _extend(line, kv_decode)
    for chunk in range(1, len(seconds)):
        alone = seconds[chunk, :, :1] - seconds[chunk - 1, :, :1]
        missing = np.isnan(seconds[chunk])
        seconds[chunk] = np.where(missing, seconds[chunk - 1] + alone, seconds[chunk])
    return seconds


def _extend(line: Floats, kv_decode: Floats) -> None:
    known = np.flatnonzero(~np.isnan(line))
    if len(known) < 2:
        return
    (x0, x1), (y0, y1) = kv_decode[known[-2:]], line[known[-2:]]
    beyond = y1 + (kv_decode - x1) * max(y1 - y0, 0.0) / (x1 - x0)
    within = np.interp(kv_decode, kv_decode[known], line[known])
    line[:] = np.where(kv_decode > x1, beyond, within)
