"""Lists of block ids as runs of consecutive ids, in CSR form.

Agent traces hold tens of millions of block references but few runs: a turn repeats the previous
prompt and appends to it. Row r owns the runs ``offsets[r]:offsets[r + 1]``; a run is the ids
``start, start + 1, ..., start + count - 1``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Runs:
    """Block ids of n rows.

    Attributes
    ----------
    block_tokens
        Tokens per block, >= 1.
    partial_tail
        True: the last, partly filled block has an id (ceil(input / block) ids); False: only full
        blocks have ids (floor(input / block)).
    offsets
        int64[n + 1], rows to runs.
    start, count
        int64[m], first id and length of each run.
    local
        The ids are local to the row's session and say nothing about other sessions.
    """

    block_tokens: int
    partial_tail: bool
    offsets: Ints
    start: Ints
    count: Ints
    local: bool = False


def expected_blocks(input_tokens: Ints, block_tokens: int, partial_tail: bool) -> Ints:
    """Return how many block ids a prompt of each length has, int64[n]."""
    return (input_tokens + (block_tokens - 1 if partial_tail else 0)) // block_tokens


def offsets_of(lengths: Ints) -> Ints:
    """Return the CSR offsets, int64[n + 1], of rows with these lengths."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def row_sums(offsets: Ints, values: Ints) -> Ints:
    """Sum `values` (one a run) over each row's runs, int64[n]; empty rows give 0."""
    total = offsets_of(values)
    return total[offsets[1:]] - total[offsets[:-1]]


def expand(start: Ints, count: Ints) -> Ints:
    """Return the ids of some runs one by one, int64[count.sum()]."""
    before = np.cumsum(count) - count
    return np.repeat(start - before, count) + np.arange(int(count.sum()), dtype=np.int64)


def compress(ids: Ints, lengths: Ints) -> tuple[Ints, Ints, Ints]:
    """Turn lists of ids into runs.

    Parameters
    ----------
    ids
        int64[k], all rows' ids, row after row.
    lengths
        int64[n], ids per row; sums to k.

    Returns
    -------
    offsets, start, count
        int64[n + 1], int64[m], int64[m].
    """
    rows = offsets_of(lengths)
    breaks = np.ones(len(ids) + 1, np.bool_)
    breaks[1:-1] = np.diff(ids) != 1
    breaks[rows] = True
    first = np.flatnonzero(breaks[:-1])
    count = np.diff(np.append(first, len(ids)))
    return np.searchsorted(first, rows), ids[first], count


def take(offsets: Ints, rows: Ints) -> tuple[Ints, Ints]:
    """Return the offsets of the chosen rows and the index of their runs, in that order."""
    lengths = offsets[rows + 1] - offsets[rows]
    return offsets_of(lengths), expand(offsets[rows], lengths)


def ordered(ids: Runs, rows: Ints) -> Runs:
    """Return the ids of the chosen rows, in that order."""
    offsets, picked = take(ids.offsets, rows)
    return replace(ids, offsets=offsets, start=ids.start[picked], count=ids.count[picked])


def concatenate(parts: list[Ints]) -> Ints:
    """Join CSR offsets of consecutive chunks."""
    return offsets_of(np.concatenate([np.diff(part) for part in parts]))
