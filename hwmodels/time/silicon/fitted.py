"""A kernel model with its parameters: what a calibration holds for one kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.constants import STRATA_S
from tierlab.hwmodels.time.silicon.bytime import ByTime
from tierlab.hwmodels.time.silicon.curve import Curve
from tierlab.hwmodels.time.silicon.few import Ranges
from tierlab.hwmodels.time.silicon.kernel import Kernel
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.measured import KernelKey
from tierlab.hwmodels.time.silicon.packed import Later
from tierlab.hwmodels.time.silicon.registry import model_with
from tierlab.hwmodels.time.silicon.repeats import run_starts
from tierlab.hwmodels.time.silicon.trees import Forest
from tierlab.hwmodels.time.silicon.uneven import even
from tierlab.kernels.ops.table import OpTable

Floats = NDArray[np.float64]
BEYOND = 1e-3
"""Slack of a range, in its coordinate: files round it to five digits, which is no extrapolation."""
RAGGED = "ragged"
"""Coordinate of ragged batches: its range says whether any were measured, and bounds nothing."""
APART = 0.02
UNSURE = 0.3
"""The band of ragged batches, beside that of even ones: so much, and of what unlike lengths add.
78% of an RTX 4090's (LLMServingSim's ``skew.csv``) are within."""
UNSEEN = 2.0 * UNSURE
"""The same where no ragged batch was measured; an assumption (2026-11-21)."""
WIDER = 2.0
WIDER_AN_OCTAVE = 2.0
"""How many times as wide a band is just outside what was measured, and more for each octave.

Fitted without the largest octaves of queries, keys or rows, 80% of what these took lay within 1.3
to 2.7 times the band half an octave out, 1.4 to 3.9 one out and 2.3 to 7.8 three out (2026-11-21,
`benchmarks/validate_silicon.py beyond`). Decode fitted up to 64 sequences alone needs more.
"""
WIDEST = 2.5
"""Factor either way that this widens a band to, at most: a roofline's of what nobody measured."""


@dataclass(frozen=True, eq=False)
class Bands:
    """The band around a predicted time.

    Attributes
    ----------
    p10, p90
        Factors on the time, one a stratum of `STRATA_S` (by predicted time).
    spread
        How the logarithms of these factors depend on the shape: its exponential scales them.
    """

    p10: tuple[float, float, float]
    p90: tuple[float, float, float]
    spread: Forest | Later | None = None


class Predicted(NamedTuple):
    """Times of n rows, s, and the band that 80% lie in; `beyond`: outside what was measured."""

    seconds: Floats
    p10: Floats
    p90: Floats
    beyond: NDArray[np.bool_]


class _Alike(NamedTuple):
    """Rows of even lengths, the formula's times of them, s, and which of them each row asks for.

    No `place`: row by row. `ragged` says whether lengths differ in those that ask.
    """

    ops: OpTable
    seconds: Floats
    place: NDArray[np.int64] | None
    ragged: bool

    def each(self, values: Floats) -> Floats:
        """Return what was found of them for each row that asks."""
        return values if self.place is None else values[self.place]


@dataclass(frozen=True, eq=False)
class Fitted:
    """One kernel's model.

    Attributes
    ----------
    key
        What it belongs to.
    schedule, parameters
        Of the formula.
    trees
        What the formula leaves over, if that was fitted.
    bands
        From residuals of groups that were left out.
    ranges
        Coordinate -> (lowest, highest) measured; outside a row is extrapolated.
    points, groups
        How many measurements, in how many groups of shapes, it was fitted on.
    source
        Where the measurements are from.
    judged
        Coordinate -> (lowest, highest) that the bands were made for, where that is farther than
        measured: of few groups (`few`).
    """

    key: KernelKey
    schedule: str
    parameters: Mapping[str, float]
    trees: ByTime | Curve | None
    bands: Bands
    ranges: Ranges
    points: int
    groups: int
    source: str
    judged: Ranges = field(default_factory=dict)

    @property
    def kernel(self) -> Kernel:
        """The model that the parameters belong to."""
        return model_with(self.key.op, self.schedule)

    def predict(self, ops: OpTable, machine: Machine, *, bands: bool = True) -> Predicted:
        """Return times and their bands, NaN if these are not wanted.

        What the trees say counts half as much for each octave outside the range: far away the
        formula stands alone, and its band is wider.
        """
        alike = self._alike(ops, machine)
        formula_s = self._lengthened(ops, machine, alike)
        far = alike.each(self.outside(alike.ops))
        seconds, beyond = formula_s, far > BEYOND
        far = alike.each(self.outside(alike.ops, self.judged)) if self.judged else far
        factor, width = self._learnt(alike, machine, bands)
        if factor is not None:
            seconds = seconds * np.exp(factor * np.exp2(-far))
        if not bands:
            none = np.full(len(ops), np.nan)
            return Predicted(seconds, none, none, beyond)
        low, high = self._band(stratum(seconds), far, width)
        if alike.ragged:
            unsure = self._unsure(ops, formula_s, alike.each(alike.seconds))
            low, high = -np.hypot(low, unsure), np.hypot(high, unsure)
        return Predicted(seconds, seconds * np.exp(low), seconds * np.exp(high), beyond)

    def _band(
        self, place: NDArray[np.intp], far: Floats, width: Floats | None
    ) -> tuple[Floats, Floats]:
        """Return the logs of the band's factors, wider beyond the range."""
        shape = 1.0 if width is None else np.exp(width)
        scale = np.where(far > BEYOND, WIDER + WIDER_AN_OCTAVE * far, 1.0)
        low, high = (np.log(b)[place] * shape for b in (self.bands.p10, self.bands.p90))
        most = np.log(WIDEST)
        low = np.maximum(low * scale, np.minimum(low, -most))
        high = np.minimum(high * scale, np.maximum(high, most))
        return low, high

    def _alike(self, ops: OpTable, machine: Machine) -> _Alike:
        """Return rows of even lengths: of ragged batches, one for each run of alike ones."""
        if not ops["kv_len_spread"].any():
            return _Alike(ops, self.formula_s(ops, machine), None, ragged=False)
        starts = run_starts(ops, but="kv_len_spread")
        if starts.all():
            plain, place = even(ops), None
        else:
            plain, place = even(ops.take(starts)), np.cumsum(starts) - 1
        return _Alike(plain, self.formula_s(plain, machine), place, ragged=True)

    def _lengthened(self, ops: OpTable, machine: Machine, alike: _Alike) -> Floats:
        """Return the formula's times: those of even lengths are known."""
        if not alike.ragged:
            return alike.seconds
        ragged = ops["kv_len_spread"] > 0
        if ragged.all():
            return self.formula_s(ops, machine)
        found = alike.each(alike.seconds).copy()
        found[ragged] = self.formula_s(ops.take(ragged), machine)
        return found

    def _unsure(self, ops: OpTable, formula_s: Floats, even_s: Floats) -> Floats:
        """Return how far off the time of ragged batches may be beside that of even ones, in log."""
        known = self.ranges.get(RAGGED, (0.0, 0.0))[1] > 0.0
        share = np.maximum(1.0 - even_s / formula_s, 0.0) * (UNSURE if known else UNSEEN)
        unsure: Floats = np.where(ops["kv_len_spread"] > 0, APART + share, 0.0)
        return unsure

    def _learnt(
        self, alike: _Alike, machine: Machine, bands: bool
    ) -> tuple[Floats | None, Floats | None]:
        """Return logs of the trees' factor and of the band's width; None where not fitted."""
        trees, spread = self.trees, self.bands.spread if bands else None
        if trees is None and spread is None:
            return None, None
        ops, seconds = alike.ops, alike.seconds
        asked = self.kernel.asked(ops, machine, self.schedule, self.parameters, seconds)
        said = (
            None if trees is None else trees(asked, seconds),
            None if spread is None else spread(asked),
        )
        factor, width = (None if v is None else alike.each(v) for v in said)
        return factor, width

    def seconds(self, ops: OpTable, machine: Machine) -> tuple[Floats, NDArray[np.bool_]]:
        """Return times, s, and whether a row lies outside the measured range, both [n]."""
        found = self.predict(ops, machine)
        return found.seconds, found.beyond

    def formula_s(self, ops: OpTable, machine: Machine) -> Floats:
        """Return the times of the formula alone, s, float64[n]."""
        return self.kernel.seconds(ops, machine, self.schedule, self.parameters)

    def outside(self, ops: OpTable, wider: Ranges | None = None) -> Floats:
        """Return how far a row lies outside the range, in its farthest coordinate, float64[n].

        `wider` ranges take the place of those measured.
        """
        at, far = self.kernel.coordinates(ops), np.zeros(len(ops))
        for name, (low, high) in {**self.ranges, **(wider or {})}.items():
            if name == RAGGED:
                continue
            np.maximum(far, np.maximum(low - at[name], at[name] - high), out=far)
        far[far <= BEYOND] = 0.0
        return far


def stratum(seconds: Floats) -> NDArray[np.int64]:
    """Return 0, 1 or 2: under 20 us, to 100 us, over."""
    return (seconds > STRATA_S[0]).astype(np.int64) + (seconds > STRATA_S[1])
