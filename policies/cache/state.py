"""What a block cache remembers: arrays with one entry a block, and a few registers.

Blocks are numbered 0, 1, 2, ... in the order in which they were first seen (`intern`); their slot
is that number plus `SLOT0`. The slots below are the heads of lists (`lists`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

SLOT0 = 8
"""First slot of a block; 1-7 are list heads, 0 is no slot."""

CAPACITY, SIZE, AT, HELD = 0, 1, 2, 3
"""Integer registers that the loop keeps: blocks that fit, blocks cached, position of the current
access in the trace, cached blocks that are pinned."""
R0, R1, R2, R3, R4, R5, R6, R7 = 4, 5, 6, 7, 8, 9, 10, 11
"""Integer registers that belong to the policy."""
NOW = 0
"""Real register: time of the current request in seconds."""
F0, F1 = 1, 2
"""Real registers that belong to the policy."""
REGISTERS, REALS = 12, 4


class State(NamedTuple):
    """A cache of blocks; arrays of length n have one entry a slot.

    Attributes
    ----------
    reg, real
        int64[REGISTERS], float64[REALS].
    where
        int8[n]; 0: unknown; k > 0: cached, in list k; k < 0: a ghost, remembered in list -k.
    link
        int32[n, 2]; the slot behind and the slot ahead in its list.
    used
        int32[n] where the policy needs it, else int32[1]; what it counts of a block.
    hold
        int32[n]; reasons not to evict it: its pins and its cached children.
    aux
        int32[m, 2], m = n where the policy needs it, else 1.
    key
        float64[m, 2], likewise.
    order, future
        int32[N]: slot of every access, and the position of the next access to the same block, or
        N; Belady alone needs them, others have N = 1.
    words
        uint64: a set of positions (`bits`).
    """

    reg: NDArray[np.int64]
    real: NDArray[np.float64]
    where: NDArray[np.int8]
    link: NDArray[np.int32]
    used: NDArray[np.int32]
    hold: NDArray[np.int32]
    aux: NDArray[np.int32]
    key: NDArray[np.float64]
    order: NDArray[np.int32]
    future: NDArray[np.int32]
    words: NDArray[np.uint64]


SlotArray = NDArray[np.int32]


def new_state(
    capacity_blocks: int,
    blocks: int,
    *,
    aux: bool = False,
    key: bool = False,
    used: bool = True,
    order: SlotArray | None = None,
    future: SlotArray | None = None,
    words: int = 1,
) -> State:
    """Return an empty cache of `capacity_blocks` that knows room for `blocks` different blocks."""
    n = blocks + SLOT0
    nothing = np.zeros(1, np.int32)
    state = State(
        reg=np.zeros(REGISTERS, np.int64),
        real=np.zeros(REALS),
        where=np.zeros(n, np.int8),
        link=np.zeros((n, 2), np.int32),
        used=np.zeros(n if used else 1, np.int32),
        hold=np.zeros(n, np.int32),
        aux=np.zeros((n if aux else 1, 2), np.int32),
        key=np.zeros((n if key else 1, 2)),
        order=nothing if order is None else order,
        future=nothing if future is None else future,
        words=np.zeros(words, np.uint64),
    )
    state.reg[CAPACITY] = capacity_blocks
    state.link[:SLOT0] = np.arange(SLOT0)[:, None]
    return state


def grow(state: State, blocks: int) -> State:
    """Return the same cache with room for at least `blocks` different blocks."""
    old = len(state.where)
    if blocks + SLOT0 <= old:
        return state
    more = max(2 * old, blocks + SLOT0) - old
    grown: dict[str, NDArray[Any]] = {}
    for name in ("where", "link", "used", "hold", "aux", "key"):
        array = getattr(state, name)
        if len(array) == old:
            grown[name] = np.concatenate([array, np.zeros((more, *array.shape[1:]), array.dtype)])
    return state._replace(**grown)
