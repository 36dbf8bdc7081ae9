"""How tokens are dealt out to experts: how many are read, and how many tiles their rows fill.

By a power law (`routing`) rows are dealt as the collector of the public tables deals them
(ai-dynamo/aiconfigurator, ``collector/helper.py``, Apache-2.0): an expert's weight is drawn with
density x^-a from 1 to 0.8 of the tokens, or from 0.01 to 2 where no more rows are routed than there
are experts; its rows are its share, rounded, at most one a token; what is then missing goes to the
experts with the fewest, what is too much comes off those with the most. The collector times the
mean of 5 draws (10 before vLLM 0.17); here are means over all draws.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.base.binding import Compiled, entered, plain
from tierlab.kernels.ops.routing import UNIFORM

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
HEIGHTS = np.array([8.0, 16.0, 32.0, 48.0, 64.0, 128.0, 256.0])
"""Tiles that power laws are counted in."""
_FAR = 4.5
"""Standard deviations that are counted."""
_DRAWS = 8192
"""Weights drawn for one number of tokens: 32 times 256 experts."""
_MOST_TOKENS = 2.0**22
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio: spreads what is alike (Knuth, vol. 3, 6.4)."""
_SLOTS = np.uint64(64 - 12)
"""Bits of a number that its slot leaves out."""


def experts_read(tokens: Floats, experts: Floats, top_k: Floats, routing: Floats) -> Floats:
    """Return the experts that any token visits, in the mean, float64[n].

    Parameters
    ----------
    tokens, experts, top_k, routing
        float64[n].
    """
    most = np.maximum(experts, 1.0)
    found = np.clip(tokens * top_k, 1.0, most)
    if not routing.any():
        return found
    uniform, skewed = routing == UNIFORM, routing > UNIFORM
    if uniform.any():
        missed = np.maximum(1.0 - top_k[uniform] / most[uniform], 0.0)
        found[uniform] = most[uniform] * (1.0 - missed ** tokens[uniform])
    if skewed.any():
        told = _skewed(tokens, most, top_k, routing, np.zeros(len(tokens)), skewed)
        # of less than half a row, as of experts on other devices, none is dealt
        found[skewed] = np.maximum(told, np.minimum(tokens * top_k, 1.0)[skewed])
    return found


def tiles_filled(
    tokens: Floats,
    experts: Floats,
    top_k: Floats,
    routing: Floats,
    height: Floats,
    read: Floats | None = None,
) -> Floats:
    """Return the tiles of `height` rows that all experts' rows fill, in the mean, float64[n].

    Parameters
    ----------
    tokens, experts, top_k, routing
        float64[n].
    height
        float64[n], of `HEIGHTS` where the routing is a power law.
    read
        `experts_read` of the same, where it is known.
    """
    read = experts_read(tokens, experts, top_k, routing) if read is None else read
    found: Floats = read * np.ceil(tokens * top_k / (read * height))
    uniform, skewed = np.flatnonzero(routing == UNIFORM), routing > UNIFORM
    if len(uniform):
        chance = np.minimum(top_k / np.maximum(experts, 1.0), 1.0)[uniform]
        more = _more_tiles(tokens[uniform], chance, height[uniform])
        found[uniform] = read[uniform] + np.maximum(experts[uniform], 1.0) * more
    if skewed.any():
        told = _skewed(tokens, experts, top_k, routing, height, skewed)
        found[skewed] = np.maximum(told, read[skewed])
    return found


def _more_tiles(tokens: Floats, chance: Floats, height: Floats) -> Floats:
    """Return the tiles beyond the first of an expert with binomially many rows, in the mean.

    The sum over j from 1 of P(rows > j height); where rows vary by more than half a tile, the
    limit: rows / height + 1/2 - 1/(2 height) tiles in all.
    """
    mean = tokens * chance
    deviation = np.sqrt(mean * (1.0 - chance))
    found = np.where(deviation > height / 2.0, mean / height - 0.5 - 0.5 / height, 0.0)
    counted = (deviation <= height / 2.0) & (mean + _FAR * deviation >= height)
    if not counted.any():
        return found
    rows = np.flatnonzero(counted)
    first = np.maximum(np.floor((mean - _FAR * deviation)[rows] / height[rows]), 1.0)
    last = (mean + _FAR * deviation)[rows] / height[rows]
    found[rows] = first - 1.0
    while len(rows):
        found[rows] += _over(tokens[rows], chance[rows], first * height[rows])
        left = first + 1.0 <= last
        rows, first, last = rows[left], first[left] + 1.0, last[left]
    return found


def _over(tokens: Floats, chance: Floats, rows: Floats) -> Floats:
    """Return the chance of more than `rows` rows: Camp and Paulson's normal for binomials.

    (Johnson, Kemp and Kotz, Univariate Discrete Distributions, 3rd ed., 3.6.1)
    """
    left = np.maximum(tokens - rows, 0.5)
    odds = (rows + 1.0) * (1.0 - chance) / (left * np.maximum(chance, 1e-12))
    a, b = 1.0 / (9.0 * left), 1.0 / (9.0 * (rows + 1.0))
    root = np.cbrt(odds)
    z = ((1.0 - b) * root - (1.0 - a)) / np.sqrt(a + b * root * root)
    return np.where(tokens > rows, _normal(-z), 0.0)


def _normal(z: Floats) -> Floats:
    """Return the normal distribution's function to 1.4e-4 (Bowling et al., JIEM 2 (2009) 114)."""
    found: Floats = 1.0 / (
        1.0 + np.exp(-np.clip(0.07056 * (z * z * z) + 1.5976 * z, -500.0, 500.0))
    )
    return found


def _skewed(
    tokens: Floats,
    experts: Floats,
    top_k: Floats,
    routing: Floats,
    height: Floats,
    rows: NDArray[np.bool_],
) -> Floats:
    """Look power laws up for some rows: tiles of `height`, or experts read where it is 0."""
    asked = [column[rows] for column in (experts, top_k, routing)]
    first, kind = _kinds(asked[0] + np.sqrt(2.0) * asked[1] + np.sqrt(3.0) * asked[2])
    ends, known, counts = _tables(tuple(zip(*(c[first].tolist() for c in asked), strict=True)))
    place, tokens = np.searchsorted(HEIGHTS, height[rows]) + 1, tokens[rows]
    place[height[rows] == 0.0] = 0
    found = np.empty(len(tokens))
    look_up: Compiled = _look_up if plain(len(tokens)) else entered(_look_up)
    look_up(tokens, kind, place, ends, known, counts, found)
    return found


def _kinds(mixed: Floats) -> tuple[Ints, Ints]:
    """Return a row of each number that occurs, and which of them each row has, int64[n].

    Few numbers stand among many rows: slots for all, and sorting where two share one.
    """
    slots = (mixed.view(np.uint64) * _GOLDEN >> _SLOTS).astype(np.int64)
    last = np.full(1 << int(64 - _SLOTS), -1)
    last[slots] = np.arange(len(mixed))
    if (mixed[last[slots]] != mixed).any():
        _, first, kind = np.unique(mixed, return_index=True, return_inverse=True)
        return first, kind
    held = np.flatnonzero(last >= 0)
    number = np.empty(len(last), np.int64)
    number[held] = np.arange(len(held))
    return last[held], number[slots]


@lru_cache(maxsize=16)
def _tables(kinds: tuple[tuple[float, ...], ...]) -> tuple[Ints, Floats, Floats]:
    """Return where the tables of some kinds end, and these side by side: `_counts`."""
    tables = [_counts(*kind) for kind in kinds]
    ends = np.cumsum([0] + [len(known) for known, _ in tables])
    known, counts = (np.concatenate(part, axis=-1) for part in zip(*tables, strict=True))
    return ends, known, counts


def _look_up(
    tokens: Floats,
    kind: Ints,
    place: Ints,
    ends: Ints,
    known: Floats,
    counts: Floats,
    found: Floats,
) -> None:
    """Interpolate in each row's table; tiles go on in proportion to tokens past its end."""
    for i in range(len(found)):
        low, high, x, line = ends[kind[i]], ends[kind[i] + 1] - 1, tokens[i], place[i]
        if x >= known[high]:
            found[i] = counts[line, high] * (x / known[high] if line else 1.0)
        elif x <= known[low]:
            found[i] = counts[line, low]
        else:
            left = high - low
            while left > 1:
                half = left // 2
                low += half if known[low + half] <= x else 0
                left -= half
            high = low + 1
            slope = (counts[line, high] - counts[line, low]) / (known[high] - known[low])
            found[i] = slope * (x - known[low]) + counts[line, low]


@lru_cache(maxsize=512)
def _counts(experts: float, top_k: float, exponent: float) -> tuple[Floats, Floats]:
    """Return numbers of tokens [t], and by them experts read and tiles of `HEIGHTS` [1 + h, t]."""
    draws, known = drawn(max(round(experts), 1)), _known(np.floor(experts / top_k))
    found = np.empty((1 + len(HEIGHTS), len(known)))
    for t, tokens in enumerate(known):
        rows = dealt(draws, tokens, top_k, exponent)
        found[0, t] = np.count_nonzero(rows) / len(rows)
        for h, height in enumerate(HEIGHTS, 1):
            found[h, t] = np.ceil(rows / height).sum() / len(rows)
    return known, found


def _known(change: float) -> Floats:
    """Return the tokens that are counted, four an octave, and those where the weights change."""
    octaves = 2.0 ** np.arange(2, np.log2(_MOST_TOKENS))
    spread = np.outer(octaves, np.arange(4.0, 8.0) / 4.0).ravel()
    found: Floats = np.unique([1.0, 2.0, 3.0, max(change, 1.0), change + 1.0, *spread])
    return found


def drawn(experts: int) -> Floats:
    """Return numbers from 0 to 1, alike likely, float64[draws, experts]: a Latin hypercube."""
    rng, draws = np.random.default_rng(experts), max(_DRAWS // experts, 8)
    strata = np.repeat(np.arange(draws, dtype=np.float64)[:, None], experts, axis=1)
    found: Floats = (rng.permuted(strata, axis=0) + rng.random(strata.shape)) / draws
    return found


def dealt(draws: Floats, tokens: float, top_k: float, exponent: float) -> Floats:
    """Return the rows of each expert by a power law, fewest first, float64[draws, experts].

    Parameters
    ----------
    draws
        float64[draws, experts], from 0 to 1, which weights are drawn by.
    tokens, top_k, exponent
        Of one batch.
    """
    total = round(tokens * top_k)
    low, high = (1.0, 0.8 * tokens) if total > draws.shape[1] else (0.01, 2.0)
    ends, power = np.array([low, high]) ** (1.0 - exponent), 1.0 / (1.0 - exponent)
    weights = (ends[0] + (ends[1] - ends[0]) * draws) ** power
    rows = np.round(weights / weights.sum(axis=1, keepdims=True) * total)
    rows = np.sort(np.minimum(rows, tokens), axis=1)
    missing = total - rows.sum(axis=1)
    raised = _raised(rows, np.maximum(missing, 0.0))
    return -_raised(-raised[:, ::-1], np.maximum(-missing, 0.0))[:, ::-1]


def _raised(rows: Floats, more: Floats) -> Floats:
    """Return rows, fewest first, after `more` went one by one to whoever had the fewest."""
    place = np.arange(rows.shape[1])
    below = np.cumsum(rows, axis=1) - rows
    level = (place * rows - below <= more[:, None]).sum(axis=1, keepdims=True)
    held = np.take_along_axis(below + rows, level - 1, axis=1) + more[:, None]
    least = np.floor(held / level)
    found: Floats = np.where(place < level, least + (place >= level - (held - least * level)), rows)
    return found
