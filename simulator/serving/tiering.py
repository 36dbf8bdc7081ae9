"""The tiers below one replica's HBM, in time: what it loads, stores and prefetches, and when.

The loop asks how much a request loads at its admission, and lists what it computed and evicted
(`engine.state`); `tierlab.simulator.tiers` keeps the books; `tierlab.simulator.network` gives
every copy its time. HBM blocks that are being stored are kept until their copy has ended. Blocks
that are evicted to a tier that is written back are reused at once: their copy goes first.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

from tierlab.policies.protocol import Loading
from tierlab.simulator.network.network import Network
from tierlab.simulator.serving.copier import Copier, Layerwise
from tierlab.simulator.serving.engine import state
from tierlab.simulator.serving.engine.compiled import Lookups
from tierlab.simulator.serving.engine.state import Core
from tierlab.simulator.serving.estimates import Estimates
from tierlab.simulator.serving.places import Places
from tierlab.simulator.tiers.hierarchy import Hierarchy
from tierlab.simulator.tiers.moves import Found, Load, Prefetch

Ints = NDArray[np.int64]


@dataclass(eq=False)
class Tiering:
    """Tiers, network and replica, brought together.

    Attributes
    ----------
    places
        Where the replica's GPUs and its tiers are.
    estimates
        What loading and computing would cost.
    wake
        Called when the replica may go on.
    by_layer
        Steps are simulated layer by layer (`layers.Layers`).
    look
        Called when what the tiers hold may have changed.
    reused
        Prompt tokens that each tier served, those not computed or reused before alone.
    """

    env: simpy.Environment
    core: Core
    tiers: Hierarchy
    loading: Loading
    network: Network
    places: Places
    estimates: Estimates
    wake: Callable[[], None] = lambda: None
    by_layer: bool = False
    look: Callable[[], None] | None = None
    reused: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lookups = Lookups(self.core)
        self.copier = Copier(self.env, self.tiers, self.network, self.places, self.note)
        self._widest = max((tier.blocks for tier in self.tiers.tiers), default=1)
        self._found: dict[int, Found] = {}
        self._told: dict[int, int] = {}
        self._prefetching: dict[int, Prefetch] = {}
        self._layers: list[Layerwise] = []

    def arrived(self, row: int, queue: Callable[[int], None]) -> None:
        """Take note of a request that arrives; `queue` it now or once its prefetch is over."""
        names = self._names(row)
        self.tiers.requested(names, self.env.now)
        if self.tiers.prefetch.policy != "none":
            hits = int(self._lookups.match(names, len(names)))
            prefetch = self.tiers.plan_prefetch(names.copy(), hits, len(names), self.env.now)
            if prefetch is not None:
                self._prefetch(row, prefetch, queue)
                return
        queue(row)

    def _prefetch(self, row: int, prefetch: Prefetch, queue: Callable[[int], None]) -> None:
        self._prefetching[row] = prefetch
        waits = simpy.Event(self.env)
        waits.callbacks.append(lambda _: queue(row))

        def come() -> None:
            if not waits.triggered:
                waits.succeed()

        self.copier.copy(prefetch.moves, come)
        if np.isfinite(prefetch.wait_s):
            self.env.timeout(prefetch.wait_s).callbacks.append(lambda _: come())

    def decide(self) -> None:
        """Say how many blocks the request that the loop asks for loads."""
        self.collect()
        reg, r = self.core.reg, self.core.r
        row, hits = int(reg[state.ASKED]), int(reg[state.ASKED_HITS])
        if row in self._prefetching:
            self._give_up(self._prefetching.pop(row))
        whole = int(r.input_tokens[row] + r.generated[row])
        most = (min(whole, int(r.input_tokens[row])) - 1) // int(reg[state.BLOCK_SIZE])
        found = self.tiers.lookup(self._names(row), hits, most, self.env.now)
        blocks = 0
        if found.blocks:
            blocks = self._blocks_to_load(found, whole)
        if blocks:
            self._found[row] = found._replace(names=found.names.copy())
        r.loads[row] = blocks
        self.note()

    def _blocks_to_load(self, found: Found, whole: int) -> int:
        if self.loading.name == "always_load":  # what it says whatever the estimates
            return found.blocks
        view = self.estimates.of(found, self.tiers, self.places, whole)
        return int(view.blocks[self.loading.decide(view)])

    def _give_up(self, prefetch: Prefetch) -> None:
        for move in self.tiers.stop_prefetch(prefetch):
            self.copier.cancel(move)

    def collect(self) -> None:
        """See to what the loop listed: loads to begin, blocks computed, blocks evicted."""
        core, reg = self.core, self.core.reg
        changes = reg[state.STARTED] or reg[state.FILLED] or reg[state.LEFT]
        if reg[state.STARTED]:
            for row in self._taken(state.STARTED, core.started).tolist():
                self._load(row)
        if reg[state.FILLED]:
            for row, _, after in self._taken(state.FILLED, core.filled).tolist():
                self._computed(row, after)
        if reg[state.LEFT]:
            left = self._taken(state.LEFT, core.left)
            self.copier.copy(self.tiers.evicted_from_hbm(left, self.env.now))
        core.real[state.STRETCH] = 1.0 if self.by_layer else self.copier.stretch()
        if changes:
            self.note()

    def note(self) -> None:
        """Keep what the tiers hold now."""
        for tier in self.tiers.tiers:
            blocks, hits = len(tier.store), tier.counts.hit_tokens
            if (blocks, hits) != tier.noted:
                tier.noted = blocks, hits
                tier.history.note(self.env.now, blocks * tier.spec.block_bytes, hits)
        if self.look is not None:
            self.look()

    def _taken(self, count: int, entries: NDArray[Any]) -> NDArray[Any]:
        number = int(self.core.reg[count])
        self.core.reg[count] = 0
        return entries[:number].copy()

    def _load(self, row: int) -> None:
        """Begin the load of a request that was admitted."""
        found, r = self._found.pop(row), self.core.r
        blocks = int(r.computed[row]) // int(self.core.reg[state.BLOCK_SIZE]) - found.start
        load = self.tiers.begin_load(found, blocks, self.env.now)
        self._credit(load, int(r.fresh[row]))
        if self.core.reg[state.LOAD_MODE] != state.REQUEST_ASYNC:
            self.core.reg[state.HELD_UP] += 1
        ended = partial(self._loaded, row, load, self.env.now)
        layerwise = self.by_layer and self.core.reg[state.LOAD_MODE] == state.LAYERWISE
        parts = self.estimates.layers if layerwise else 1
        copies = sum(self.places.ways(leg.tier) for leg in load.legs)
        layers = Layerwise(self.env, parts, copies, ended)
        if layerwise:
            self._layers.append(layers)
        for leg in load.legs:
            self.copier.bring(leg, layers)

    def layer_has_come(self, layer: int) -> Generator[simpy.Event, Any, None]:
        """Wait for a layer of all loads of the step under way."""
        for load in self._layers:
            if not load.come[layer].triggered:
                yield load.come[layer]

    def forget_layers(self) -> None:
        """Say that the step under way has ended."""
        self._layers = []

    def _credit(self, load: Load, fresh: int) -> None:
        for leg in reversed(load.legs):
            share = min(leg.tokens, fresh)
            self.reused[leg.tier] = self.reused.get(leg.tier, 0) + share
            fresh -= share

    def _loaded(self, row: int, load: Load, began_s: float) -> None:
        now, reg, real = self.env.now, self.core.reg, self.core.real
        self.copier.copy(self.tiers.end_load(load, now))
        self.note()
        self._lookups.loaded(row, load.tokens, now)
        if reg[state.LOAD_MODE] != state.REQUEST_ASYNC:
            reg[state.HELD_UP] -= 1
        if reg[state.LOAD_MODE] == state.BLOCKING:
            real[state.NOW] = max(real[state.NOW], now)
        elif reg[state.LOAD_MODE] == state.LAYERWISE and not self.by_layer:
            self._overlap(began_s, now)
        self.wake()

    def _overlap(self, began_s: float, now_s: float) -> None:
        """Let the step of a load end no sooner than its layers allow.

        Layers load one after the other and compute one after the other: the last one computes
        after it has come, the first one begins after it has come.
        """
        layers, real = self.estimates.layers, self.core.real
        step_s = float(self.core.ends[0] - real[state.NOW])
        after_first = began_s + (now_s - began_s) / layers + step_s
        earliest = max(now_s + step_s / layers, after_first)
        real[state.NOT_BEFORE] = max(real[state.NOT_BEFORE], earliest)

    def _computed(self, row: int, tokens: int) -> None:
        """Tell the tiers of blocks that HBM has now, and store what they want."""
        r, size = self.core.r, int(self.core.reg[state.BLOCK_SIZE])
        stop, start = min(tokens, int(r.input_tokens[row])) // size, self._told.get(row, 0)
        if stop <= start:
            return
        self._told[row] = stop
        names = self._names_from(row, start, stop)
        moves = self.tiers.computed(names, start, stop, self.env.now)
        if moves:
            then = self._pin(row, start, stop)
            self.copier.copy(moves, self._held_up(then) if self.core.reg[state.SAVING] else then)

    def _held_up(self, then: Callable[[], None]) -> Callable[[], None]:
        """Let the step under way end no sooner than what is returned is called."""
        reg, real = self.core.reg, self.core.real
        reg[state.HELD_UP] += 1

        def stored() -> None:
            reg[state.HELD_UP] -= 1
            real[state.NOT_BEFORE] = max(real[state.NOT_BEFORE], self.env.now)
            then()
            self.wake()

        return stored

    def _pin(self, row: int, start: int, stop: int) -> Callable[[], None]:
        """Keep blocks of a request until what is returned is called; gone ones are not kept."""
        seat, blocks = int(self.core.r.seat[row]), self.core.blocks
        if seat == state.NOBODY:
            return lambda: None
        pinned = self.core.table[seat, start:stop].copy()
        blocks.holders[pinned] += 1

        def unpin() -> None:
            self._lookups.unpin(pinned)
            self.wake()

        return unpin

    def answered(self, row: int) -> None:
        """Forget a request; store its reply, where replies are stored."""
        told = self._told.pop(row, 0)
        if self.tiers.limits.prompt_only:
            return
        r, size = self.core.r, int(self.core.reg[state.BLOCK_SIZE])
        stop = int(r.input_tokens[row] + r.output_tokens[row] - 1) // size
        if stop > told:
            names = self._names_from(row, told, stop)
            self.copier.copy(self.tiers.computed(names, told, stop, self.env.now, prompt=False))

    def _names(self, row: int) -> Ints:
        """Return the names of a prompt's blocks, int64; the next names overwrite them."""
        blocks = int(self.core.r.input_tokens[row]) // int(self.core.reg[state.BLOCK_SIZE])
        self._lookups.name_blocks(row, 0, blocks)
        return self.core.names.scratch[:blocks]

    def _names_from(self, row: int, start: int, stop: int) -> Ints:
        """Return int64[stop], the names from block `start` on, with those of a tier's block before.

        What lies further ahead is 0: a request that comes back with a long prompt tells of little.
        """
        first = max(start - 2 * self._widest, 0)
        self._lookups.name_blocks(row, first, stop)
        names = np.zeros(stop, np.int64)
        names[first:] = self.core.names.scratch[: stop - first]
        return names
