"""Names of blocks to block ids, and lists of ids to runs."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Numbering:
    """Numbers names of blocks 0, 1, 2, ... by first appearance, so that new blocks form runs.

    Takes some 100 bytes per distinct block: the price of exact ids for 64-bit hashes, and of
    chaining ids that name a block's content alone.
    """

    known: dict[Hashable, int] = field(default_factory=dict)
    next: int = 0

    def plain(self, names: Iterable[Hashable]) -> list[int]:
        """Return the numbers of names that already stand for a block and all before it."""
        return [self._number(name) for name in names]

    def chained(self, names: Iterable[Hashable]) -> list[int]:
        """Return numbers that stand for a block and all before it, given names of its content."""
        found, before = [], -1
        for name in names:
            before = self._number((before, name))
            found.append(before)
        return found

    def fresh(self, blocks: int) -> tuple[list[int], list[int]]:
        """Return a run of numbers that no other block has: first ids and lengths."""
        first = self.next
        self.next += blocks
        return ([first], [blocks]) if blocks else ([], [])

    def _number(self, name: Hashable) -> int:
        number = self.known.get(name)
        if number is None:
            number = self.known[name] = self.next
            self.next += 1
        return number


def in_runs(ids: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return first ids and lengths of the runs of consecutive ids."""
    start: list[int] = []
    count: list[int] = []
    expected = None
    for one in ids:
        if one == expected:
            count[-1] += 1
        else:
            start.append(one)
            count.append(1)
        expected = one + 1
    return start, count


def head_of(start: Sequence[int], count: Sequence[int], blocks: int) -> tuple[list[int], list[int]]:
    """Return the runs of the first so many ids."""
    firsts: list[int] = []
    lengths: list[int] = []
    for first, length in zip(start, count, strict=True):
        if blocks <= 0:
            break
        firsts.append(first)
        lengths.append(min(length, blocks))
        blocks -= length
    return firsts, lengths
