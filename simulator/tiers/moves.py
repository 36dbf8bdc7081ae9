"""What tiers ask for: copies, loads and prefetches. The engine gives them their time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from tierlab.policies.cache.state import SlotArray
from tierlab.simulator.tiers.store import Ints

STORE, THROUGH, WRITE_BACK = "store", "write_through", "write_back"
DEMOTION, PROMOTION, PREFETCH = "demotion", "promotion", "prefetch"
CAUSES = (STORE, THROUGH, WRITE_BACK, DEMOTION, PROMOTION, PREFETCH)
"""From HBM as computed; on to the next tier; from HBM as evicted; from a tier as evicted; up after
a hit; up ahead of a request."""


@dataclass(eq=False)
class Move:
    """One copy from a tier, or HBM, to another tier.

    Until `Hierarchy.end_move` its blocks take space where they go and are no hit.

    Attributes
    ----------
    source, destination
        Names of tiers, `HBM` for the engine's blocks.
    cause
        One of `CAUSES`.
    ids, slots
        int64 and int32, names of the blocks at the destination, and their slots there.
    tokens, nbytes, pieces
        What crosses the link, compressed as it is stored lower down.
    mechanism
        Of the lower of the two tiers.
    """

    source: str
    destination: str
    cause: str
    ids: Ints
    tokens: int
    nbytes: float
    pieces: int
    mechanism: str
    origin: int = field(repr=False)
    target: int = field(repr=False)
    slots: SlotArray = field(repr=False)
    pinned: SlotArray | None = field(default=None, repr=False)
    over: bool = field(default=False, repr=False)


class Segment(NamedTuple):
    """A run of engine blocks that one tier has: ``start <= block < stop`` of the prompt."""

    tier: int
    start: int
    stop: int


class Found(NamedTuple):
    """What `Hierarchy.lookup` found after the hit in HBM.

    Attributes
    ----------
    names
        int64, the prompt's engine blocks.
    start
        Engine blocks that HBM has.
    segments
        Runs of engine blocks, one after the other, each in the fastest tier that has it.
    """

    names: Ints
    start: int
    segments: tuple[Segment, ...]

    @property
    def blocks(self) -> int:
        """Engine blocks found, in all."""
        return self.segments[-1].stop - self.start if self.segments else 0


@dataclass(frozen=True)
class Leg:
    """One tier's part of a load.

    Attributes
    ----------
    tier, path
        Its name, and the names from there to `HBM` that the bytes pass.
    start, stop
        Engine blocks of the prompt.
    tokens, nbytes, pieces, mechanism
        What crosses the link, compressed as stored.
    """

    tier: str
    path: tuple[str, ...]
    start: int
    stop: int
    tokens: int
    nbytes: float
    pieces: int
    mechanism: str
    index: int = field(repr=False)
    ids: Ints = field(repr=False)


@dataclass(eq=False)
class Load:
    """A load under way: its blocks are pinned until `Hierarchy.end_load`.

    Attributes
    ----------
    names
        int64, engine blocks of the prompt up to where the load ends.
    legs, pinned
        The parts, and the slots of each part's blocks in its tier.
    """

    names: Ints
    legs: tuple[Leg, ...]
    pinned: tuple[SlotArray, ...]
    over: bool = False

    @property
    def tokens(self) -> int:
        """Tokens that need no computing."""
        return sum(leg.tokens for leg in self.legs)

    @property
    def nbytes(self) -> float:
        """Bytes that leave the tiers."""
        return sum(leg.nbytes for leg in self.legs)


@dataclass(eq=False)
class Prefetch:
    """Copies into the fastest tier for a request that queues.

    Attributes
    ----------
    moves
        The copies, first blocks first.
    tokens
        Tokens that they bring.
    wait_s
        How long the request may wait for them from when they began.
    """

    moves: list[Move]
    tokens: int
    wait_s: float
