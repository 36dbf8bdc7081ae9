"""The miss loop, compiled for a policy: its verbs take the places of the loop's own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from tierlab.kernels.base.binding import Binder, Compiled
from tierlab.policies.cache import loop
from tierlab.policies.cache.verbs import Verbs


@dataclass(frozen=True)
class Loops:
    """The compiled functions of `loop` for one policy; they have the signatures given there."""

    play: Compiled
    admit: Compiled
    shed: Compiled
    sweep: Compiled
    pin: Compiled


@cache
def loops(verbs: Verbs) -> Loops:
    """Return the miss loop of a policy; each function is compiled when it is first called."""
    swaps = {name: getattr(verbs, name) for name in ("find", "evict", "insert", "stale")}
    binder = Binder(loop.__name__, swaps)
    names = ("play", "admit", "shed", "sweep", "pin")
    return Loops(*(binder.entry(getattr(loop, name)) for name in names))
