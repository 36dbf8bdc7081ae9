"""The verbs of tiers, compiled for a policy: its own take the places of `guarded`'s."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from tierlab.kernels.base.binding import Binder, Compiled
from tierlab.policies.cache import guarded
from tierlab.policies.cache.verbs import Verbs


@dataclass(frozen=True)
class GuardedLoops:
    """The compiled functions of `guarded` for one policy; they have the signatures given there."""

    bring: Compiled
    shed: Compiled
    sweep: Compiled
    pin: Compiled
    touch: Compiled
    take: Compiled


@cache
def guarded_loops(verbs: Verbs) -> GuardedLoops:
    """Return the functions of `guarded` for a policy; each is compiled when first called."""
    names = ("find", "evict", "insert", "stale", "remove")
    binder = Binder(guarded.__name__, {name: getattr(verbs, name) for name in names})
    entries = ("bring", "shed", "sweep", "pin", "touch", "take")
    return GuardedLoops(*(binder.entry(getattr(guarded, name)) for name in entries))
