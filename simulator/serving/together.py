"""Attention of a step whose decodes ride in the launch of its prefill chunks.

The chunks' tiles and the decodes' are dealt out over the same SMs: the launch lasts as long as its
longest tile, or all its work, or its memory traffic (`hwmodels.time.silicon.shared`). Plain
functions over arrays, compiled into the loop of a replica.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.times import SharedLaunch
from tierlab.simulator.serving.axis import below

Floats = NDArray[np.float64]
LONGEST, READ, HELD = range(3)
(
    SOURCE, LANES, QUERIES, READERS, CROWD, EMPTY, WHOLE, TAIL, POWER, SHORTEST,
) = range(10)  # fmt: skip
_CROWDED = 0.2
"""How far tiles exceed the SMs until long ones are sure to meet (with the other constants)."""
_SHARP = 4.0
"""How sharply L2 overflows (as the kernel models' starting value)."""


def as_arrays(found: tuple[SharedLaunch, int] | None, keys: int) -> tuple[Floats, Floats]:
    """Return lines float64[3, keys] and the rules of a launch; no rules where none is shared."""
    if found is None:
        return np.zeros((3, keys)), np.zeros(0)
    one, source = found
    lines = np.stack([one.longest_s, one.read_s, one.held])
    rules = (
        source, one.lanes, one.queries, one.readers, one.crowd, one.empty_s, one.whole_share,
        one.tail, one.power, one.longest_s[0],
    )  # fmt: skip
    return lines, np.array(rules, np.float64)


def attention_s(
    keys: Any,
    lines: Any,
    rules: Any,
    chunks: float,
    once: float,
    tiles: float,
    most: float,
    decodes: float,
    mean: float,
    longest: float,
) -> float:
    """Return the attention of a step with chunks and decodes, s.

    Parameters
    ----------
    chunks, once
        What the chunks take without decodes, and what of it the launch and one tile do.
    tiles, most
        Tiles of all chunks in a lane, and of the longest.
    decodes, mean, longest
        Decodes, their mean keys and the most.
    """
    launch: float = max(once - rules[SHORTEST], 0.0)
    busy, high = chunks - launch, at(keys, lines, LONGEST, longest)
    if most * rules[LANES] < rules[WHOLE]:
        high = 0.0
    crowd = (tiles + decodes) * rules[LANES] - 1.0
    work = busy * min(1.0, tiles * rules[LANES])
    work += decodes * rules[LANES] * at(keys, lines, LONGEST, mean)
    work += decodes * (most - 1.0) * rules[EMPTY]
    meet = min(max(crowd / _CROWDED, 0.0), 1.0)
    tail = rules[TAIL] * meet * min(busy, high)
    computed = max(busy, high, work) + tail
    moved = decodes * at(keys, lines, READ, mean)
    again = min(max(rules[CROWD] * decodes, 1.0), rules[READERS]) - 1.0
    if again > 0.0:
        held = max(decodes * at(keys, lines, HELD, mean), 1e-6)
        moved *= 1.0 + again / (1.0 + held**-_SHARP)
    power = rules[POWER]
    both: float = computed * (1.0 + (moved / computed) ** power) ** (1.0 / power)
    return launch + both


def at(axis: Any, lines: Any, line: int, x: float) -> float:
    """Return one line at x, linear between nodes."""
    low = below(axis, x)
    share = (x - axis[low]) / (axis[low + 1] - axis[low])
    found: float = lines[line, low] + share * (lines[line, low + 1] - lines[line, low])
    return found
