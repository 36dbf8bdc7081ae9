"""Heads of streams on simulated time: the next begins when one ends.

One timer stands for all of them. It rings at the next change (a copy begins to flow, or ends) and
carries a generation, so that a timer that a later plan has overtaken is ignored.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import simpy

from tierlab.hwmodels.system import System
from tierlab.simulator.network.ledger import NetworkLedger
from tierlab.simulator.network.meters import Meters
from tierlab.simulator.network.records import Records
from tierlab.simulator.network.route import Route
from tierlab.simulator.network.state import (
    BOUND,
    FLOWING,
    IDLE,
    LATENT,
    NEXT,
    PATH_HEAD,
    PHASE,
    RATE,
    REMAINING,
    SINCE,
    SLOT_HEAD,
    TIMED,
    WIDTH,
    grown,
)
from tierlab.simulator.network.stream import Stream
from tierlab.simulator.network.transfer import CANCELLED, DONE, MOVING, Transfer


class Heads(Meters):
    """The streams, their heads, and the timer that moves them."""

    def __init__(self, env: simpy.Environment, system: System, keep_records: bool) -> None:
        super().__init__(env, system)
        self.ledger = NetworkLedger()
        self.records = Records() if keep_records else None
        self._streams: dict[str, Stream] = {}
        self._by_slot: list[Stream] = []
        self._generation = 0
        self._rings_s = math.inf
        self._due_s = math.inf
        self._turning = False

    def _stream(self, name: str) -> Stream:
        stream = self._streams.get(name)
        if stream is None:
            slot = len(self._by_slot)
            stream = self._streams[name] = Stream(name, slot)
            self._by_slot.append(stream)
            slots, width = self._state.slot.shape
            if slot == slots:
                self._work_on(grown(self._state, 2 * slots, width - SLOT_HEAD))
        return stream

    def _begin(self, stream: Stream, transfer: Transfer) -> None:
        """Make a transfer the head of an idle stream, and plan for it."""
        self._install(stream, transfer)
        self._plan()

    def _install(self, stream: Stream, transfer: Transfer) -> None:
        """Make a transfer the head of its stream."""
        route, cost, now = transfer.route, transfer.cost, self.env.now
        stream.head = transfer
        transfer.state = MOVING
        transfer.start_s = now
        if route.kernel_gpu:
            self._hold_sms(route.kernel_gpu, 1)
        self._lay(stream, route, cost.weights)
        flows = transfer.nbytes > 0 and cost.bound_bytes_per_s < math.inf
        at_s = now + (route.latency_s if flows else cost.alone_s)
        row = self._state.slot[stream.slot]
        row[NEXT] = at_s
        row[REMAINING] = transfer.nbytes
        row[BOUND] = cost.bound_bytes_per_s
        self._state.path[stream.slot, PHASE] = LATENT if flows else TIMED
        self._due_s = min(self._due_s, at_s)

    def _lay(self, stream: Stream, route: Route, weights: tuple[float, ...]) -> None:
        """Write the constraints on a way and their weights, unless they stand there."""
        if stream.laid is route.at and not route.paged:
            return
        stream.laid = route.at
        slot, width = stream.slot, len(weights)
        if PATH_HEAD + width > self._state.path.shape[1]:
            self._work_on(grown(self._state, len(self._state.slot), width))
        self._state.path[slot, WIDTH] = width
        self._state.path[slot, PATH_HEAD : PATH_HEAD + width] = route.at
        self._state.slot[slot, SLOT_HEAD : SLOT_HEAD + width] = weights

    def _plan(self) -> None:
        """Let the timer ring when something is due; the one set for another time is overtaken."""
        if self._turning or self._due_s == self._rings_s:
            return
        self._generation += 1
        self._rings_s = self._due_s
        if self._due_s < math.inf:
            delay_s = max(self._due_s - self.env.now, 0.0)
            timer = simpy.Timeout(self.env, delay_s, self._generation)
            timer.callbacks.append(self._ring)

    def _ring(self, timer: simpy.Event) -> None:
        if timer.value == self._generation:
            # The heap adds the delay to the clock and may so round down by one ulp.
            horizon_s = max(self._rings_s, self.env.now)
            self._rings_s = math.inf
            self._turn(horizon_s)

    def _turn(self, horizon_s: float) -> None:
        """Do what is due, let the next in each stream begin, and tell those who wait."""
        ended, self._due_s = self._advance(len(self._by_slot), horizon_s)
        if ended:
            slots = self._state.finished[:ended].tolist()
            self._tell([self._release(self._by_slot[slot]) for slot in slots])
        self._plan()

    def _release(self, stream: Stream) -> Transfer:
        """Let a head go that ended, and the next begin."""
        transfer = stream.head
        if transfer is None:
            raise RuntimeError(f"stream {stream.name} ended a copy that it does not have")
        if transfer.state is CANCELLED:
            undone = float(self._state.slot[stream.slot, REMAINING])
            self._end(transfer, CANCELLED, transfer.nbytes - undone)
        else:
            self._end(transfer, DONE, transfer.nbytes)
        self._follow(stream)
        return transfer

    def _stop(self, transfer: Transfer) -> None:
        """Cancel a head."""
        transfer.state = CANCELLED
        slot = transfer.stream.slot
        if self._state.path[slot, PHASE] == FLOWING:
            self._state.slot[slot, NEXT] = self.env.now
            self._turn(self.env.now)
        else:
            self._abandon(transfer)

    def _abandon(self, transfer: Transfer) -> None:
        """Let a head go that has moved nothing."""
        stream = transfer.stream
        self._state.path[stream.slot, PHASE] = IDLE
        self._state.slot[stream.slot, NEXT] = math.inf
        self._end(transfer, CANCELLED, 0.0)
        self._follow(stream)
        self._tell([transfer])
        self._turn(self.env.now)

    def _follow(self, stream: Stream) -> None:
        stream.head = None
        following = stream.pop()
        if following is not None:
            self._install(stream, following)

    def _tell(self, transfers: list[Transfer]) -> None:
        """Tell those who wait; what they submit is planned for once, afterwards."""
        outer, self._turning = self._turning, True
        for transfer in transfers:
            transfer.announce()
        self._turning = outer

    def _end(self, transfer: Transfer, state: str, moved: float) -> None:
        if transfer.route.kernel_gpu and not math.isnan(transfer.start_s):
            self._hold_sms(transfer.route.kernel_gpu, -1)
        transfer.state = state
        transfer.end_s = self.env.now
        transfer.moved_bytes = moved
        self.ledger.add(transfer)
        if self.records is not None:
            self.records.add(transfer)

    def _moving(self) -> Iterator[tuple[Transfer, float]]:
        for stream in self._by_slot:
            if stream.head is not None and self._state.path[stream.slot, PHASE] == FLOWING:
                row = self._state.slot[stream.slot]
                left = row[REMAINING] - row[RATE] * (self.env.now - row[SINCE])
                yield stream.head, stream.head.nbytes - max(float(left), 0.0)
