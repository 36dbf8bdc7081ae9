"""The part of simulated time that a timeline shows: ``10s:20s``, ``:2min``, ``1.5h:``."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.units import UNITS, to_si

WHERE = "--timeline-window"
ACCEPTED = f"START:END with units ({', '.join(UNITS['s'])}), e.g. 10s:20s, or one of the two"
_TIME = re.compile(r"\s*([0-9]+\.?[0-9]*(?:[eE][+-]?[0-9]+)?)\s*([a-z]+)\s*")


@dataclass(frozen=True)
class Window:
    """From one simulated time to another, in seconds; what reaches into it is shown whole."""

    start_s: float = 0.0
    end_s: float = math.inf

    @staticmethod
    def parse(text: str) -> Window:
        """Read a window as a person writes it.

        Raises
        ------
        BadInput
            It is none, or ends before it begins.
        """
        start, colon, end = text.partition(":")
        if not colon or not (start.strip() or end.strip()):
            raise BadInput(WHERE, f"{text!r} is no window", ACCEPTED)
        made = Window(_seconds(start, text, 0.0), _seconds(end, text, math.inf))
        if made.start_s >= made.end_s:
            raise BadInput(WHERE, f"{text!r} ends before it begins", "START before END")
        return made

    def touches(self, start_s: float, end_s: float) -> bool:
        """Say whether an interval reaches into the window."""
        return start_s <= self.end_s and end_s >= self.start_s

    def check(self, simulated_s: float) -> None:
        """Refuse a window that begins after the last answer.

        Raises
        ------
        BadInput
            As said.
        """
        if self.start_s > simulated_s:
            what = f"begins at {self.start_s:g} s, but the run ends at {simulated_s:.6g} s"
            raise BadInput(WHERE, what, "a window that begins before")


def _seconds(text: str, whole: str, absent: float) -> float:
    if not text.strip():
        return absent
    found = _TIME.fullmatch(text)
    if found is None:
        raise BadInput(WHERE, f"{text!r} in {whole!r} is no time", ACCEPTED)
    return to_si(float(found[1]), found[2], "s", WHERE)
