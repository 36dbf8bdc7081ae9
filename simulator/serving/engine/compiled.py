"""The loop of a replica, and what is asked of its blocks, compiled and bound to its arrays."""

from __future__ import annotations

from functools import cache, partial
from types import ModuleType
from typing import Any

from tierlab.kernels.base.binding import Binder, Compiled
from tierlab.kernels.base.held import Held
from tierlab.simulator.serving.engine import loop, naming, pool
from tierlab.simulator.serving.engine.state import Core


@cache
def loop_of(clock: ModuleType, kinds: tuple[Any, ...]) -> Compiled:
    """Return `loop.advance` with the `decode_seconds` and `mixed_seconds` of a clock's module."""
    swaps = {name: getattr(clock, name) for name in ("decode_seconds", "mixed_seconds")}
    binder = Binder(loop.__name__, swaps, inline=False)
    return binder.entry(loop.advance, kinds)


@cache
def _beside(function: Compiled, kind: Any) -> Compiled:
    return Binder(inline=False).entry(function, (kind,))


class Lookups:
    """Compiled functions beside the loop, over one replica's arrays.

    Attributes
    ----------
    name_blocks, match, unpin, loaded
        Those of `naming`, `pool` and `loop`, without their first argument.
    """

    def __init__(self, core: Core) -> None:
        names, blocks, whole = self._kept = Held(core.names), Held(core.blocks), Held(core)
        self.name_blocks = partial(_beside(naming.name_blocks, names.type), names.at)
        self.match = partial(_beside(pool.match, blocks.type), blocks.at)
        self.unpin = partial(_beside(pool.unpin, blocks.type), blocks.at)
        self.loaded = partial(_beside(loop.loaded, whole.type), whole.at)


class Engine:
    """The loop of one replica.

    Attributes
    ----------
    advance
        `loop.advance` with the `decode_seconds` and `mixed_seconds` of a clock's module, without
        its first two arguments.
    """

    def __init__(self, core: Core, clock: ModuleType, times: Any) -> None:
        whole, seconds = self._kept = Held(core), Held(times)
        function = loop_of(clock, (whole.type, seconds.type))
        self.advance = partial(function, whole.at, seconds.at)
