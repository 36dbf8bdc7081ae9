"""Trees as text: the names of features and how many edges each has, the rest as LZMA in base 85.

The bytes, in order: uint8 features and bins [trees, DEPTH], int8 steps [trees, LEAVES], float16
scales [trees], float32 edges of all features in turn.
"""

from __future__ import annotations

import base64
import lzma
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.silicon.trees import DEPTH, LEAVES, Floats, Forest, Rows, as_stored
from tierlab.kernels.base.errors import BadInput

PARTS = ("names", "edges", "packed")
_A_TREE = 2 * DEPTH + LEAVES + 2
_FILTERS = [{"id": lzma.FILTER_LZMA1, "preset": 9, "lc": 0, "lp": 0, "pb": 0}]
_WIDEST_LOG = 40.0
"""Bound on the sum of the largest steps of all trees: no fit comes near."""
_NEVER = 1e30
_DIGITS = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
_OF_BYTE = np.full(256, 255, np.uint8)
_WORTH = 85 ** np.arange(5)[::-1]
_OF_BYTE[np.frombuffer(_DIGITS, np.uint8)] = np.arange(85)
Fail = Callable[[str, str], BadInput]


class Later:
    """Trees that are unpacked when first asked: of a file's kernels a run asks few.

    Parameters
    ----------
    names, edges, packed, fail
        As `unpack` takes them; what is wrong is said at first use.
    """

    def __init__(self, names: object, edges: object, packed: object, fail: Fail) -> None:
        self._given = names, edges, packed, fail

    @cached_property
    def forest(self) -> Forest:
        """The trees."""
        return unpack(*self._given)

    def __call__(self, features: Mapping[str, Floats], rows: Rows | None = None) -> Floats:
        """Return what the trees do."""
        return self.forest(features, rows)


def pack(forest: Forest) -> dict[str, Any]:
    """Return what a calibration file holds of trees; edges that no tree asks for are left out."""
    above, edges = forest.above.copy(), []
    for f, known in enumerate(forest.edges):
        mine = forest.feature == f
        used = np.unique(forest.above[mine])
        above[mine] = np.searchsorted(used, forest.above[mine])
        edges.append(_at(known, used))
    flat = as_stored(np.concatenate([*edges, np.zeros(0)])).astype("<f4")
    parts = (forest.feature, above, forest.steps, forest.scale.astype("<f2"), flat)
    raw = b"".join(part.tobytes() for part in parts)
    text = base64.b85encode(lzma.compress(raw, lzma.FORMAT_ALONE, filters=_FILTERS)).decode()
    return dict(zip(PARTS, (list(forest.names), [len(e) for e in edges], text), strict=True))


def _at(edges: Floats, used: NDArray[np.uint8]) -> Floats:
    """Return the edges used; past the last, a question that nothing answers with yes."""
    return np.append(edges, np.full(256 - len(edges), _NEVER))[used]


def unpack(names: object, edges: object, packed: object, fail: Fail) -> Forest:
    """Return the trees.

    Raises
    ------
    BadInput
        What `fail` makes of (what, accepted): some part could not have been written by `pack`.
    """
    labels = tuple(n for n in names if isinstance(n, str)) if isinstance(names, list) else ()
    sizes = _sizes(edges, fail)
    if not labels or len(labels) != len(sizes):
        raise fail(f"{len(labels)} names, edges of {len(sizes)}", "edges for each name")
    body = _body(packed, fail)
    count, rest = divmod(len(body) - 4 * sum(sizes), _A_TREE)
    if rest or count < 1:
        raise fail(f"{len(body)} bytes", f"{_A_TREE} for each tree and 4 for each edge")
    lengths = [DEPTH * count, DEPTH * count, LEAVES * count, 2 * count]
    feature, above, steps, scale, flat = np.split(np.frombuffer(body, np.uint8), np.cumsum(lengths))
    known = scale.view("<f2").astype(np.float64)
    moves = steps.view(np.int8).reshape(count, LEAVES)
    most = np.abs(moves.astype(np.float64)).max(axis=1) @ known
    if not np.isfinite(most) or (known < 0).any() or most > _WIDEST_LOG:
        raise fail("scales no fit could give", f"logarithms within {_WIDEST_LOG:g}")
    if feature.max() >= len(sizes) or (above >= np.array(sizes)[feature]).any():
        raise fail("a tree asks for what is not there", "a feature and an edge")
    shape = (count, DEPTH)
    parted = _parted(flat.view("<f4").astype(np.float64), sizes, fail)
    return Forest(labels, parted, feature.reshape(shape), above.reshape(shape), known, moves)


def _sizes(edges: object, fail: Fail) -> list[int]:
    found = [e for e in edges if type(e) is int and 0 <= e < 256] if isinstance(edges, list) else []
    if not isinstance(edges, list) or len(found) < len(edges):
        raise fail("edges are no counts", "0 to 255 edges of each feature")
    return found


def _parted(flat: Floats, sizes: list[int], fail: Fail) -> tuple[Floats, ...]:
    parts = np.split(flat, np.cumsum(sizes)[:-1])
    if not np.isfinite(flat).all() or any((np.diff(part) < 0).any() for part in parts):
        raise fail("edges do not rise", "finite, rising numbers")
    return tuple(parts)


def _body(packed: object, fail: Fail) -> bytes:
    try:
        return lzma.decompress(unwrapped(str(packed)))
    except (ValueError, lzma.LZMAError):
        raise fail("packed is damaged", "what calibrate wrote") from None


def unwrapped(text: str) -> bytes:
    """Return what `base64.b85decode` does, in a tenth of its time.

    Raises
    ------
    ValueError
        It is no such text.
    """
    digits = _OF_BYTE[np.frombuffer(text.encode("ascii"), np.uint8)]
    short = -len(digits) % 5
    fives = np.append(digits, np.full(short, 84, np.uint8)).reshape(-1, 5)
    words = fives @ _WORTH
    if (digits > 84).any() or (words >> 32).any():
        raise ValueError("no base 85")
    return words.astype(">u4").tobytes()[: 4 * len(words) - short]
