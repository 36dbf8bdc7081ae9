"""Decode batches whose sequences differ in length: what the longest adds.

Of the lengths, mean and longest are known. The longest sequence starts first and the others are
alike; SMs share the memory evenly until those are done, and what is left runs at one SM's pace.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tierlab.hwmodels.time.silicon.kernel import Floats, Values, reach
from tierlab.kernels.ops.table import COLUMNS, DTYPE_BYTES, OpTable


def even(ops: OpTable) -> OpTable:
    """Return the same batches with all sequences of the mean length."""
    values = ops.values.copy()
    values[COLUMNS.index("kv_len_spread")] = 0.0
    return OpTable(ops.op, ops.dtype, ops.kv_dtype, values)


def of_longest(ops: OpTable) -> OpTable:
    """Return even batches of sequences that are all as long as the longest."""
    made = even(ops)
    made.values[COLUMNS.index("kv_len")] = longest(ops)
    return made


def longest(ops: OpTable) -> Floats:
    """Return the keys of each batch's longest sequence, float64[n]."""
    keys: Floats = ops["kv_len"] * (1.0 + ops["kv_len_spread"])
    return keys


class Left(NamedTuple):
    """What only the longest sequence has still to do, all float64[n].

    Attributes
    ----------
    shared
        Share of an even batch's work that is done by then.
    blocks
        Of keys, in one of its splits; 0 where it ends with the others.
    """

    shared: Floats
    blocks: Floats


def left_over(ops: OpTable, blocks: Floats, own: Floats) -> tuple[Floats, Left]:
    """Return the blocks of the busiest SM, and what is left of the longest sequence.

    Parameters
    ----------
    ops
        Decode batches.
    blocks
        What an SM does one after another where all sequences are of the mean length.
    own
        Of one split of the longest sequence.
    """
    others = np.maximum(ops["batch"] - 1.0, 1.0)
    shared = np.where(reach(ops)[1], 1.0, np.maximum(1.0 - ops["kv_len_spread"] / others, 0.0))
    left = np.maximum(own - shared * blocks, 0.0)
    return np.maximum(blocks, shared * blocks + left), Left(shared, left)


def alone_s(ops: OpTable, keys: Floats, miss: Floats, p: Values) -> Floats:
    """Return how long one SM alone draws so many keys and values, s, float64[n].

    `miss` is the share that L2 does not serve.
    """
    drawn = 2.0 * ops["head_dim"] * DTYPE_BYTES[ops.kv_dtype] * keys * 1e-9
    seconds: Floats = drawn * (miss / p["sm_gbs"] + (1.0 - miss) / p["sm_l2_gbs"])
    return seconds
