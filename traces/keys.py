"""Keys of sessions and adapters to numbers, chunk by chunk, so that no row keeps an object."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tierlab.traces.readers.protocol import Chunk

Ints = NDArray[np.int64]


@dataclass(slots=True)
class Keys:
    """Numbers the keys of a log 0, 1, 2, ... by first appearance; -1 stands for none.

    Takes some 100 bytes per distinct key while a log is read.

    Attributes
    ----------
    sessions_given, adapters_given
        The reader gave final numbers in place of keys.
    """

    sessions: dict[Hashable, int] = field(default_factory=dict)
    adapters: dict[Hashable, int] = field(default_factory=dict)
    sessions_given: bool = False
    adapters_given: bool = False

    def numbered(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        """Yield the chunks with numbers for keys; numbers that a reader gave stay."""
        for chunk in chunks:
            self.sessions_given = isinstance(chunk.session, np.ndarray)
            self.adapters_given = isinstance(chunk.adapter, np.ndarray)
            session = _numbers(chunk.session, self.sessions)
            yield replace(chunk, session=session, adapter=_numbers(chunk.adapter, self.adapters))


def _numbers(keys: Sequence[Hashable] | Ints | None, known: dict[Hashable, int]) -> Ints | None:
    if keys is None or isinstance(keys, np.ndarray):
        return keys
    found = [-1 if key is None else known.setdefault(key, len(known)) for key in keys]
    return np.array(found, np.int64)


def separate(numbers: Ints) -> Ints:
    """Return numbers 0, 1, 2, ... by first appearance; each -1 counts as a number of its own."""
    alone = np.flatnonzero(numbers == -1)
    whole = numbers.copy()
    whole[alone] = -2 - np.arange(len(alone))
    return _by_appearance(whole)


def dense(numbers: Ints) -> Ints:
    """Return numbers 0, 1, 2, ... by first appearance; -1 stays."""
    found = np.full(len(numbers), -1, np.int64)
    given = numbers != -1
    found[given] = _by_appearance(numbers[given])
    return found


def _by_appearance(numbers: Ints) -> Ints:
    _, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    dense_numbers: Ints = rank[inverse]
    return dense_numbers
