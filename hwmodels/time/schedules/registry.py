"""Schedules by name: adding one is a file and a line here."""

from __future__ import annotations

from collections.abc import Callable

from tierlab.hwmodels.time.schedules.flash1 import flash1
from tierlab.hwmodels.time.schedules.flash2 import flash2
from tierlab.hwmodels.time.schedules.flash3 import flash3
from tierlab.hwmodels.time.schedules.flash_decoding import flash_decoding
from tierlab.hwmodels.time.schedules.lean import lean
from tierlab.hwmodels.time.schedules.materialised import materialised
from tierlab.hwmodels.time.schedules.problem import Cost, Problem
from tierlab.hwmodels.time.schedules.spatial import flat, fusemax
from tierlab.hwmodels.time.schedules.unsplit import unsplit
from tierlab.hwmodels.time.silicon.machine import Machine

PREFILL: dict[str, Callable[[Problem, Machine], Cost]] = {
    "materialised": materialised,
    "flash1": flash1,
    "flash2": flash2,
    "flash3": flash3,
}
"""Many queries on a GPU, forward and backward."""
DECODE: dict[str, Callable[[Problem, Machine], Cost]] = {
    "unsplit": unsplit,
    "flash_decoding": flash_decoding,
    "lean": lean,
}
"""One query a sequence on a GPU."""
SPATIAL: dict[str, Callable[[Problem], Cost]] = {"flat": flat, "fusemax": fusemax}
"""Many queries on a spatial array, by default FuseMax's."""
