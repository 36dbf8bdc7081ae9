"""KV blocks as arrays: a free queue, a map from content to block, and the moves between them.

vLLM v1's block pool (vllm/v1/core/block_pool.py): a block that nobody holds waits in the free
queue, least recently freed first, and can still be hit by its content until it is taken for
something else. Blocks of a finished request are freed from the tail of its sequence, so that a
leaf goes before its parents.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

NONE = -1
FREE, EVICTED, VERSION = 0, 1, 2
"""Places in `Blocks.counts`: free blocks; cached blocks that were evicted; how often something
became free or could be hit anew, so that who found no room need not look again."""


class Blocks(NamedTuple):
    """The state of a pool of b blocks; block b is the sentinel of the free queue.

    Attributes
    ----------
    after, before
        int32[b + 1], the free queue as a ring.
    holders
        int32[b], requests that hold the block.
    content
        int64[b], what the block can be hit by, or 0.
    slot_content, slot_block
        int64 and int32, a power of two long: the map, by linear probing.
    counts
        int64[3]: `FREE`, `EVICTED`, `VERSION`.
    """

    after: NDArray[np.int32]
    before: NDArray[np.int32]
    holders: NDArray[np.int32]
    content: NDArray[np.int64]
    slot_content: NDArray[np.int64]
    slot_block: NDArray[np.int32]
    counts: NDArray[np.int64]


def new_blocks(number: int) -> Blocks:
    """Return a pool of free blocks, block 0 first in the queue."""
    ring = np.arange(number + 1, dtype=np.int32)
    slots = 1 << max(4, int(2 * number).bit_length())
    return Blocks(
        np.roll(ring, -1),
        np.roll(ring, 1),
        np.zeros(number, np.int32),
        np.zeros(number, np.int64),
        np.zeros(slots, np.int64),
        np.full(slots, NONE, np.int32),
        np.array([number, 0, 0], np.int64),
    )


def _home(content: int, slots: int) -> int:
    """Return the slot where a content belongs: Fibonacci hashing of both halves."""
    mixed = (content ^ (content >> 31)) * -7046029254386353131
    return (mixed >> 20) & (slots - 1)


def slot_of(b: Blocks, content: int) -> int:
    """Return the slot that holds `content`, or the free slot where it belongs."""
    slots = len(b.slot_block)
    at = _home(content, slots)
    while b.slot_block[at] != NONE and b.slot_content[at] != content:
        at = (at + 1) & (slots - 1)
    return at


def forget(b: Blocks, block: int) -> None:
    """Take a block's content off the map; entries behind it move up (Knuth 6.4, algorithm R)."""
    slots = len(b.slot_block)
    hole = slot_of(b, b.content[block])
    b.content[block] = 0
    at = hole
    while True:
        b.slot_block[hole] = NONE
        while True:
            at = (at + 1) & (slots - 1)
            if b.slot_block[at] == NONE:
                return
            home = _home(b.slot_content[at], slots)
            if (at - home) & (slots - 1) >= (at - hole) & (slots - 1):
                break
        b.slot_block[hole] = b.slot_block[at]
        b.slot_content[hole] = b.slot_content[at]
        hole = at


def match(b: Blocks, contents: Any, number: int) -> int:
    """Return how many leading ones of `number` contents are in the pool."""
    for i in range(number):
        if b.slot_block[slot_of(b, contents[i])] == NONE:
            return i
    return number


def free_among(b: Blocks, contents: Any, number: int) -> int:
    """Return how many of the first `number` contents, all in the pool, nobody holds."""
    free = 0
    for i in range(number):
        if b.holders[b.slot_block[slot_of(b, contents[i])]] == 0:
            free += 1
    return free


def _unlink(b: Blocks, block: int) -> None:
    b.after[b.before[block]] = b.after[block]
    b.before[b.after[block]] = b.before[block]
    b.counts[FREE] -= 1


def acquire(b: Blocks, contents: Any, number: int, table: Any, seat: int) -> None:
    """Hold the blocks with these contents, which `match` found; write them to a table's row."""
    for i in range(number):
        block = b.slot_block[slot_of(b, contents[i])]
        if b.holders[block] == 0:
            _unlink(b, block)
        b.holders[block] += 1
        table[seat, i] = block


def grow(b: Blocks, table: Any, seat: int, held: int, wanted: int, left: Any, number: int) -> int:
    """Give a table's row free blocks from place `held` to `wanted`, oldest freed first.

    Contents that are evicted are listed in `left` behind `number` others, if it has any length;
    returns how many are listed then.
    """
    head = len(b.holders)
    for at in range(held, wanted):
        block = b.after[head]
        _unlink(b, block)
        if b.content[block] != 0:
            if len(left):
                left[number] = b.content[block]
                number += 1
            forget(b, block)
            b.counts[EVICTED] += 1
        b.holders[block] = 1
        table[seat, at] = block
    return number


def next_is_cached(b: Blocks) -> bool:
    """Say whether the next block to be taken can still be hit."""
    head = len(b.holders)
    first = b.after[head]
    return first != head and b.content[first] != 0


def remember(b: Blocks, table: Any, seat: int, first: int, contents: Any, number: int) -> None:
    """Let a row's blocks from `first` on be hit; content that is known elsewhere stays there."""
    for i in range(number):
        block = table[seat, first + i]
        if b.content[block] == 0:
            at = slot_of(b, contents[i])
            if b.slot_block[at] == NONE:
                b.content[block] = contents[i]
                b.slot_content[at] = contents[i]
                b.slot_block[at] = block
    b.counts[VERSION] += number > 0


def release(b: Blocks, table: Any, seat: int, held: int) -> None:
    """Let go of a request's blocks, tail first; those that nobody holds queue up as free."""
    release_from(b, table, seat, 0, held)


def release_from(b: Blocks, table: Any, seat: int, first: int, held: int) -> None:
    """Let go of a request's blocks from place `first` on, as `release` does."""
    head = len(b.holders)
    for i in range(held - 1, first - 1, -1):
        _let_go(b, table[seat, i], head)
    b.counts[VERSION] += held > first


def _let_go(b: Blocks, block: int, head: int) -> None:
    b.holders[block] -= 1
    if b.holders[block] == 0:
        last = b.before[head]
        b.after[last], b.before[block] = block, last
        b.after[block], b.before[head] = head, block
        b.counts[FREE] += 1


def unpin(b: Blocks, pinned: Any) -> None:
    """Let go of blocks that were kept for a copy, the last first."""
    for i in range(len(pinned) - 1, -1, -1):
        _let_go(b, pinned[i], len(b.holders))
    b.counts[VERSION] += len(pinned) > 0
