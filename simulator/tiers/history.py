"""What a tier held over time, in so many slots at most, however long the run."""

from __future__ import annotations

MOST = 1024
"""Slots kept; once there are twice as many, pairs become one."""
_FIRST_S = 1e-3


class History:
    """Columns of slots of time, each at least `slot_s` long, where something changed.

    Attributes
    ----------
    slot_s
        Length of a slot: 1 ms, doubled as often as the run needs it.
    at_s
        Last change in each slot, s.
    held_bytes, peak_bytes
        Held after it, and the most since the slot before.
    hit_tokens
        Tokens loaded to HBM from the tier so far.
    """

    def __init__(self) -> None:
        self.slot_s = _FIRST_S
        self.at_s: list[float] = []
        self.held_bytes: list[float] = []
        self.peak_bytes: list[float] = []
        self.hit_tokens: list[int] = []

    def note(self, now_s: float, held_bytes: float, hit_tokens: int) -> None:
        """Take note of what is held now; times never run backwards."""
        if not self.at_s:
            self._append(now_s, held_bytes, held_bytes, hit_tokens)
        elif self.held_bytes[-1] == held_bytes and self.hit_tokens[-1] == hit_tokens:
            return
        elif now_s // self.slot_s == self.at_s[-1] // self.slot_s:
            self._merge(now_s, held_bytes, held_bytes, hit_tokens)
        else:
            self._append(now_s, held_bytes, held_bytes, hit_tokens)
            if len(self.at_s) > 2 * MOST:
                self._halve()

    def _append(self, at_s: float, held: float, peak: float, hits: int) -> None:
        self.at_s.append(at_s)
        self.held_bytes.append(held)
        self.peak_bytes.append(peak)
        self.hit_tokens.append(hits)

    def _merge(self, at_s: float, held: float, peak: float, hits: int) -> None:
        self.at_s[-1], self.held_bytes[-1], self.hit_tokens[-1] = at_s, held, hits
        self.peak_bytes[-1] = max(self.peak_bytes[-1], peak)

    def _halve(self) -> None:
        """Double the slots until few enough are left."""
        while len(self.at_s) > MOST:
            self.slot_s *= 2
            rows = list(
                zip(self.at_s, self.held_bytes, self.peak_bytes, self.hit_tokens, strict=True)
            )
            self.at_s, self.held_bytes, self.peak_bytes, self.hit_tokens = [], [], [], []
            for row in rows:
                fresh = not self.at_s or row[0] // self.slot_s > self.at_s[-1] // self.slot_s
                (self._append if fresh else self._merge)(*row)
