"""Streams: copies that go one after the other, as a DMA engine takes them."""

from __future__ import annotations

from collections import deque

from tierlab.simulator.network.transfer import WAITING, Transfer


class Stream:
    """One queue: a head that moves, and those behind it by priority, then in order.

    Attributes
    ----------
    name, slot
        Its name, and its row in the arrays of `tierlab.simulator.network.fluid`.
    head
        The transfer that moves, if any.
    laid
        The constraints that stand in its row.
    """

    __slots__ = ("_backlog_s", "_waiting", "head", "laid", "name", "slot")

    def __init__(self, name: str, slot: int) -> None:
        self.name = name
        self.slot = slot
        self.laid: tuple[int, ...] = ()
        self.head: Transfer | None = None
        self._waiting: dict[int, deque[Transfer]] = {}
        self._backlog_s: dict[int, float] = {}

    def push(self, transfer: Transfer) -> None:
        """Queue a transfer."""
        priority = transfer.priority
        if priority not in self._waiting:
            self._waiting[priority] = deque()
            self._waiting = dict(sorted(self._waiting.items()))
            self._backlog_s[priority] = 0.0
        self._waiting[priority].append(transfer)
        self._backlog_s[priority] += transfer.cost.alone_s

    def pop(self) -> Transfer | None:
        """Take the next transfer, passing over those that were cancelled."""
        for priority, queue in self._waiting.items():
            while queue:
                transfer = queue.popleft()
                if transfer.state is WAITING:
                    self._less(priority, transfer.cost.alone_s, bool(queue))
                    return transfer
        return None

    def withdraw(self, transfer: Transfer) -> None:
        """Count a cancelled transfer out of the backlog; `pop` passes over it."""
        self._less(transfer.priority, transfer.cost.alone_s, True)

    def backlog_s(self, priority: int) -> float:
        """Return the time that those who wait ahead of `priority` would take alone."""
        return sum(s for p, s in self._backlog_s.items() if p <= priority)

    def __len__(self) -> int:
        """Return how many wait behind the head."""
        return sum(t.state is WAITING for queue in self._waiting.values() for t in queue)

    def _less(self, priority: int, seconds: float, more: bool) -> None:
        self._backlog_s[priority] = max(self._backlog_s[priority] - seconds, 0.0) if more else 0.0
