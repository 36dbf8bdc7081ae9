"""The loop of a replica, compiled for a clock."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import ModuleType

from tierlab.kernels.base.binding import Binder, Compiled
from tierlab.simulator.serving.engine import loop, naming, pool


@cache
def engine(clock: ModuleType) -> Compiled:
    """Return `loop.advance` with the `decode_seconds` and `mixed_seconds` of a clock's module."""
    swaps = {name: getattr(clock, name) for name in ("decode_seconds", "mixed_seconds")}
    binder = Binder(loop.__name__, swaps, inline=False)
    return binder.entry(loop.advance)


@dataclass(frozen=True)
class Lookups:
    """Compiled functions beside the loop: of `naming`, `pool` and `loop`."""

    name_blocks: Compiled
    match: Compiled
    unpin: Compiled
    loaded: Compiled


@cache
def lookups() -> Lookups:
    """Return them."""
    binder = Binder(inline=False)
    functions = naming.name_blocks, pool.match, pool.unpin, loop.loaded
    return Lookups(*(binder.entry(function) for function in functions))
