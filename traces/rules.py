"""What every request must satisfy, told once for readers, generators and files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tierlab.traces import runs

Array = NDArray[np.int64] | NDArray[np.float64]


@dataclass(frozen=True)
class Fault:
    """The first row that breaks a rule: which field, its value, what would be accepted."""

    row: int
    field: str
    value: object
    accepted: str


MOST_TOKENS = 2**31
"""Of a request: so that sums over any log fit int64."""

RULES: dict[str, tuple[Callable[[Array], NDArray[np.bool_]], str]] = {
    "arrival_s": (np.isfinite, "a finite time"),
    "input_tokens": (
        lambda v: (v >= 1) & (v < MOST_TOKENS),
        "an integer of 1 or more, below 2**31",
    ),
    "output_tokens": (
        lambda v: (v >= 0) & (v < MOST_TOKENS),
        "an integer of 0 or more, below 2**31",
    ),
    "turn": (lambda v: v >= 0, "an integer of 0 or more"),
    "think_s": (lambda v: np.isnan(v) | ((v >= 0) & (v < np.inf)), "a finite time of 0 or more"),
}
"""Column -> (which values hold, what would be accepted)."""


def first_fault(columns: Mapping[str, Array]) -> Fault | None:
    """Return the first row that breaks a rule of `RULES`; columns without a rule pass."""
    faults = []
    for name, values in columns.items():
        if name not in RULES:
            continue
        holds, accepted = RULES[name]
        bad = np.flatnonzero(~holds(values))
        if len(bad):
            faults.append(Fault(int(bad[0]), name, values[bad[0]].item(), accepted))
    return min(faults, key=lambda fault: fault.row, default=None)


def bad_blocks(input_tokens: NDArray[np.int64], ids: runs.Runs) -> NDArray[np.bool_]:
    """Return which rows have block ids that cannot belong to a prompt of their length, bool[n]."""
    have = runs.row_sums(ids.offsets, ids.count)
    bad: NDArray[np.bool_] = have != runs.expected_blocks(
        input_tokens, ids.block_tokens, ids.partial_tail
    )
    bad[np.searchsorted(ids.offsets, np.flatnonzero(_bad_runs(ids)), side="right") - 1] = True
    return bad


def block_fault(input_tokens: NDArray[np.int64], ids: runs.Runs) -> Fault | None:
    """Return the first row whose block ids cannot belong to a prompt of its length."""
    have = runs.row_sums(ids.offsets, ids.count)
    want = runs.expected_blocks(input_tokens, ids.block_tokens, ids.partial_tail)
    bad = np.flatnonzero(have != want)
    if not len(bad):
        return _run_fault(ids)
    row = int(bad[0])
    rule = "ceil" if ids.partial_tail else "floor"
    value = f"{have[row]} ids for {input_tokens[row]} input tokens"
    accepted = f"{want[row]} ids: {rule}(input / {ids.block_tokens})"
    return Fault(row, "block_ids", value, accepted)


def _bad_runs(ids: runs.Runs) -> NDArray[np.bool_]:
    return (ids.count < 1) | (ids.start < 0) | (ids.start > 2**62 - ids.count)


def _run_fault(ids: runs.Runs) -> Fault | None:
    bad = np.flatnonzero(_bad_runs(ids))
    if not len(bad):
        return None
    row = int(np.searchsorted(ids.offsets, bad[0], side="right")) - 1
    value = f"run [{ids.start[bad[0]]}, {ids.count[bad[0]]}]"
    return Fault(row, "block_ids", value, "ids from 0 to 2**62, in runs of 1 or more")
