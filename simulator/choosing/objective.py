"""Objectives and constraints: figures of a point, and which way is better."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import fold, near

SHORT = {
    "cost": ("sized_usd_per_million_output_tokens", "usd_per_million_output_tokens"),
    "ttft": ("ttft_p99_s", "prefill.step_s"),
    "tpot": ("tpot_p99_s", "decode.tpot_s"),
    "e2e": ("e2e_p99_s",),
    "goodput": ("goodput_requests_per_s",),
    "throughput": ("output_tokens_per_s", "decode.tokens_per_s"),
    "energy": ("joules_per_output_token",),
    "capacity": ("max_rate_per_s", "largest_batch"),
    "hits": ("hit_ratio",),
}
"""Objective -> the figures it may stand for, of simulated points and of planned ones."""

_HIGH = re.compile(
    r"(per_s|_ratio|_share|attainment|largest_\w+|fits|completed|"
    r"capacity_tokens|num_gpu_blocks|blocks_hit)$"
)
_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
_WHERE = re.compile(r"\s*([\w.\- ]*?)\s*(<=|>=|==|!=|<|>)\s*(.*?)\s*")


@dataclass(frozen=True)
class Objective:
    """A figure to minimise or maximise."""

    name: str
    column: str
    maximise: bool

    @property
    def text(self) -> str:
        """The objective as a person reads it."""
        return f"{'max' if self.maximise else 'min'} {self.column}"


@dataclass(frozen=True)
class Where:
    """A bound on a figure, e.g. ``ttft_p99_s<=2``."""

    name: str
    test: str
    bound: float | str

    @property
    def text(self) -> str:
        """The bound as it is written."""
        bound = self.bound if isinstance(self.bound, str) else f"{self.bound:g}"
        return f"{self.name}{self.test}{bound}"

    def holds(self, figures: Mapping[str, Any]) -> bool:
        """Say whether a point's figure meets the bound; an absent figure does not."""
        value = figures.get(column_of(self.name, figures))
        if isinstance(value, bool):
            value = float(value)
        if value is None or isinstance(value, str) != isinstance(self.bound, str):
            return False
        return bool(_TESTS[self.test](value, self.bound))


def column_of(name: str, known: Collection[str]) -> str:
    """Return the column that a name stands for, the name itself where it is no short one."""
    choices = SHORT.get(fold(name), (name,))
    return next((column for column in choices if column in known), choices[0])


def parse_where(text: str, where: str = "--where") -> Where:
    """Read ``FIGURE<=BOUND``; also ``>= < > == !=``.

    Raises
    ------
    BadInput
        It is not of that form, or an inequality's bound is no number.
    """
    match = _WHERE.fullmatch(text)
    if match is None or not match[1] or not match[3]:
        raise BadInput(where, f"{text!r} is not FIGURE<=BOUND", "e.g. ttft_p99_s<=2")
    name, test, written = match.groups()
    try:
        bound: float | str = float(written)
    except ValueError:
        bound = {"true": 1.0, "false": 0.0}.get(written.lower(), written)
    number = not isinstance(bound, str)
    if (not number and test not in ("==", "!=")) or (number and math.isnan(float(bound))):
        raise BadInput(where, f"{written!r} is no bound", "a number in SI units, e.g. 2")
    return Where(name, test, bound)


def check_where(bound: Where, columns: Collection[str], where: str = "--where") -> None:
    """Refuse a bound on a figure that no point has.

    Raises
    ------
    BadInput
        As said, with near misses.
    """
    if column_of(bound.name, columns) not in columns:
        what = f"no point has a figure {bound.name!r}"
        raise BadInput(where, what, near(bound.name, {*columns, *SHORT}))


def check_asked(
    objectives: Collection[str], where: Collection[Where], columns: Collection[str]
) -> None:
    """Refuse objectives and bounds on figures that points do not have.

    Raises
    ------
    BadInput
        As `parse_objective` and `check_where`.
    """
    for text in objectives:
        parse_objective(text, columns)
    for bound in where:
        check_where(bound, columns)


def parse_objective(text: str, columns: Collection[str], where: str = "--objective") -> Objective:
    """Read ``cost``, a figure's name, or either after ``min:`` or ``max:``.

    Parameters
    ----------
    columns
        The figures that are numbers.

    Raises
    ------
    BadInput
        No point has such a figure.
    """
    way, colon, name = text.rpartition(":")
    if colon and way not in ("min", "max"):
        raise BadInput(where, f"{text!r} goes no known way", "min:FIGURE or max:FIGURE")
    column = column_of(name.strip(), columns)
    if column not in columns:
        raise BadInput(where, f"no point has a figure {name!r}", _hint(name, columns))
    high = way == "max" if colon else is_high(column)
    return Objective(name.strip(), column, high)


def is_high(column: str) -> bool:
    """Say whether more of a figure is better: rates, shares, and what is largest."""
    return bool(_HIGH.search(column))


def _hint(name: str, columns: Collection[str]) -> str:
    if fold(name) == "capacity":
        return "a sweep with max_rate = true, or with [plan]"
    return near(name, {*columns, *(s for s in SHORT if column_of(s, columns) in columns)})
