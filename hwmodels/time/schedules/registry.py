"""Schedules by name: adding one is a file and a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from tierlab.hwmodels.time.schedules.flash1 import flash1
from tierlab.hwmodels.time.schedules.flash2 import flash2
from tierlab.hwmodels.time.schedules.flash3 import flash3
from tierlab.hwmodels.time.schedules.flash_decoding import flash_decoding
from tierlab.hwmodels.time.schedules.lean import lean
from tierlab.hwmodels.time.schedules.materialised import materialised
from tierlab.hwmodels.time.schedules.problem import Cost, Problem
from tierlab.hwmodels.time.schedules.spatial import FLAT_KEYS, flat, fusemax
from tierlab.hwmodels.time.schedules.unsplit import unsplit
from tierlab.hwmodels.time.silicon.machine import Machine


@dataclass(frozen=True)
class Schedule:
    """One way to compute attention, and what its formula can say.

    Attributes
    ----------
    summary
        What it is, in a few words.
    cost
        (problem, machine) -> what it costs.
    windows
        Whether it reads the keys of a window alone, or can mask the others.
    narrow
        Whether keys and values may be stored in 8 bits.
    writes
        Whether its time holds the writing of new keys and values, as the measured layers do that
        its rates are fitted to.
    most_keys
        Beyond which it says nothing.
    made
        The generation of GPUs that it exists for (`silicon.kernel.generation`); empty: any.
    """

    summary: str
    cost: Callable[[Problem, Machine], Cost]
    windows: bool = False
    narrow: bool = False
    writes: bool = False
    most_keys: float = inf
    made: str = ""


PREFILL = {
    "materialised": Schedule("scores go through memory", materialised, windows=True),
    "flash1": Schedule("FlashAttention, keys outside", flash1),
    "flash2": Schedule("FlashAttention-2, queries outside", flash2, windows=True, narrow=True),
    "flash3": Schedule(
        "FlashAttention-3, on Hopper", flash3, windows=True, narrow=True, made="hopper"
    ),
}
"""Many queries on a GPU, forward and backward."""
DECODE = {
    "unsplit": Schedule(
        "one CTA for a KV head's keys", unsplit, windows=True, narrow=True, writes=True
    ),
    "flash_decoding": Schedule(
        "keys in equal splits", flash_decoding, windows=True, narrow=True, writes=True
    ),
    "lean": Schedule(
        "Lean Attention, all keys over all SMs", lean, windows=True, narrow=True, writes=True
    ),
}
"""One query a sequence on a GPU."""
SPATIAL = {
    "flat": Schedule("FLAT on FuseMax's array", lambda p, _: flat(p), most_keys=FLAT_KEYS),
    "fusemax": Schedule("FuseMax on its array", lambda p, _: fusemax(p)),
}
"""Many queries on a spatial array, FuseMax's, whatever the machine."""
SCHEDULES = PREFILL | DECODE | SPATIAL
OF_OP = {"prefill_attention": PREFILL | SPATIAL, "decode_attention": DECODE}
"""Operation -> the schedules that answer for it."""


def op_of(name: str) -> str:
    """Return the operation that a schedule answers for."""
    return next(op for op, names in OF_OP.items() if name in names)


def others_of(name: str) -> dict[str, Schedule]:
    """Return the schedules that do the same on the same kind of machine, itself included."""
    return next(names for names in (PREFILL, DECODE, SPATIAL) if name in names)
