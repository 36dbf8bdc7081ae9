"""Where loading a stored prefix beats computing it again: by context, block size, tier, mechanism.

A request whose first `context` tokens are stored, and whose last `new_tokens` are not, is served by

- loading: the time of that copy alone on its way, by the network's law, in as many pieces as the
  engine's blocks and the tier's layout make, from every node that the tier is interleaved over;
- recomputing: prefill of all its tokens less prefill of the new ones past the stored, both alone,
  in chunks of the token budget, by the engine's step times.

Loading wins where the first is less. Nothing else runs: under load both wait.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import simpy

from tierlab.hwmodels.system import System
from tierlab.hwmodels.time.times import MECHANISMS
from tierlab.simulator.network.network import Network
from tierlab.simulator.network.route import Route
from tierlab.simulator.planning import prefill, timed
from tierlab.simulator.serving.estimates import Estimates
from tierlab.simulator.serving.places import Places
from tierlab.simulator.serving.timers import profile_timer, step_timer
from tierlab.simulator.sizing.setting import Setting
from tierlab.simulator.tiers.spec import TierSpec

BLOCKS = (16, 64, 256)
NEW_TOKENS = 512
SHORTEST = 512


@dataclass(frozen=True, eq=False)
class Way:
    """How the KV of a prefix comes up from one tier to one GPU of a replica.

    Attributes
    ----------
    network
        Idle; loads are tried on it.
    nodes, gpu
        Where the tier lives, each node with an equal part, and where the KV goes.
    block_tokens, pieces_per_block
        Engine blocks, and the copies that each is cut into.
    token_bytes
        Physical bytes of a token for that GPU.
    """

    network: Network
    tier: str
    nodes: tuple[str, ...]
    gpu: str
    mechanism: str
    block_tokens: int
    pieces_per_block: int
    token_bytes: float

    @property
    def route(self) -> Route:
        """The way from the first of the nodes; those of the others are like it."""
        return self.network.route(self.nodes[0], self.gpu, self.mechanism)

    def part(self, tokens: int) -> tuple[float, float]:
        """Return bytes and pieces that each node sends for so many tokens, whole blocks."""
        blocks = -(-tokens // self.block_tokens) / len(self.nodes)
        size = self.block_tokens * self.token_bytes
        return blocks * size, max(blocks * self.pieces_per_block, 1.0)

    def seconds(self, tokens: int) -> float:
        """Return how long a load takes alone: a closed form for one node, tried for several."""
        nbytes, pieces = self.part(tokens)
        if len(self.nodes) == 1:
            return self.route.cost(nbytes, pieces).alone_s
        env, how = self.network.env, self.mechanism
        began = float(env.now)
        copies = [
            self.network.submit(node, self.gpu, nbytes, pieces=pieces, mechanism=how, cause="hit")
            for node in self.nodes
        ]
        env.run()
        return max(copy.end_s for copy in copies) - began

    def bound(self, tokens: int) -> str:
        """Say what a node's part spends most of its time on: latency, issue or bandwidth."""
        cost = self.route.cost(*self.part(tokens))
        moving_s = cost.alone_s - self.route.latency_s
        if self.route.latency_s > moving_s:
            return "latency"
        # What was measured is one time: bandwidth, if it is at least half of it.
        least_s = self.part(tokens)[0] / cost.bytes_per_s * (2 if self.route.measured else 1)
        return "issue" if cost.issue_s >= max(moving_s, least_s) else "bandwidth"


class Recompute:
    """What computing a stored prefix again takes on one idle replica."""

    def __init__(self, setting: Setting, new_tokens: int = NEW_TOKENS) -> None:
        self._setting, self.new_tokens = setting, new_tokens
        scenario, parts = setting.scenario, setting.parts
        timer = profile_timer(scenario, parts) or step_timer(scenario, parts)
        engine, system = scenario.engine, parts.system
        self._estimates = Estimates(
            Network(simpy.Environment(), system, keep_records=False),
            timer,
            engine.max_num_batched_tokens,
            engine.block_size,
            len(parts.model.layers),
            overlaps=False,
        )
        self.seconds: Callable[[int], float] = cache(self._seconds)

    @property
    def longest(self) -> int:
        """The longest context that leaves room for the new tokens."""
        return self._setting.parts.max_model_len - self.new_tokens

    def _seconds(self, context: int) -> float:
        whole = context + self.new_tokens
        all_s = self._estimates.prefill_s(0, whole)
        return all_s - self._estimates.prefill_s(context, whole)

    def bound(self, context: int) -> str:
        """Say what prefill of the prefix is short of: ``compute``, ``memory`` or ``host``."""
        parts, scenario = self._setting.parts, self._setting.scenario
        ((phase, step),) = timed(parts, scenario, [prefill(parts, scenario, context)])
        hosted_s = step["step_s"] - step["device_s"]
        return "host" if hosted_s > step["device_s"] else phase.bound


def ways_of(setting: Setting, tiers: Sequence[str], blocks: Sequence[int]) -> list[Way]:
    """Return every way up: tiers x mechanisms x block sizes.

    A mechanism is left out whose copies were not measured where those of others were.

    Raises
    ------
    BadInput
        The hardware has no place for a tier.
    """
    network = Network(simpy.Environment(), setting.parts.system, keep_records=False)
    out = []
    for name in tiers:
        spec, place = setting.spec(name), setting.places(name)[0]
        for mechanism in _mechanisms(setting.parts.system, place):
            out += [_way(setting, network, spec, place, mechanism, size) for size in blocks]
    return out


def _mechanisms(system: System, place: Places) -> list[str]:
    """Return how copies to a GPU may be made: as any, or as any that was measured."""
    found = system.measured.get(place.gpus[0])
    known = {how for _, how in found.ways} if found else set(MECHANISMS)
    return [how for how in MECHANISMS if how in known]


def _way(
    setting: Setting, network: Network, spec: TierSpec, place: Places, mechanism: str, size: int
) -> Way:
    each = spec.token_bytes / spec.compression / setting.scenario.engine.tensor_parallel_size
    nodes, pieces = place.nodes[spec.name], spec.pieces_per_engine_block
    return Way(network, spec.name, nodes, place.gpus[0], mechanism, size, pieces, each)


def contexts_up_to(longest: int) -> list[int]:
    """Return the powers of two from 512 on, and the longest."""
    powers = [SHORTEST << k for k in range(longest.bit_length()) if SHORTEST << k < longest]
    return [*powers, longest]


def crossover(
    setting: Setting,
    tiers: Sequence[str],
    contexts: Sequence[int],
    blocks: Sequence[int] = BLOCKS,
    new_tokens: int = NEW_TOKENS,
) -> dict[str, Any]:
    """Return load and recompute times, and where loading wins, of every way.

    Parameters
    ----------
    contexts
        Stored tokens, ascending, the last at most what the model takes less `new_tokens`.
    blocks
        Sizes of engine blocks.

    Returns
    -------
    dict
        ``recompute`` has a row for each context, ``ways`` one for each way.
    """
    again = Recompute(setting, new_tokens)
    rows = [{"context": c, "seconds": again.seconds(c), "bound": again.bound(c)} for c in contexts]
    return {
        "model": setting.parts.model.name,
        "hardware": setting.parts.system.name,
        "new_tokens": new_tokens,
        "token_bytes": setting.token_bytes,
        "recompute": rows,
        "ways": [_row(way, again, contexts) for way in ways_of(setting, tiers, blocks)],
    }


def _row(way: Way, again: Recompute, contexts: Sequence[int]) -> dict[str, Any]:
    loads = [{"context": c, "seconds": way.seconds(c), "bound": way.bound(c)} for c in contexts]
    first, always = wins(way, again.seconds, contexts)
    last = contexts[-1]
    return {
        "tier": way.tier,
        "link": way.route.name,
        "nodes": list(way.nodes),
        "mechanism": way.mechanism,
        "block_tokens": way.block_tokens,
        "piece_bytes": way.block_tokens * way.token_bytes / way.pieces_per_block,
        "bytes_per_s": last * way.token_bytes / way.seconds(last),
        "times": way.route.known,
        "load": loads,
        "first_tokens": first,
        "always_from_tokens": always,
        **_bounds(way, again, contexts, always or first),
    }


def _bounds(
    way: Way, again: Recompute, contexts: Sequence[int], turn: int | None
) -> dict[str, Any]:
    """Say what both are short of where they cross; at the longest context where they do not."""
    at = contexts[-1] if turn is None or turn <= way.block_tokens else turn
    return {"bounds_at": at, "load_bound": way.bound(at), "recompute_bound": again.bound(at)}


def wins(
    way: Way, recompute_s: Callable[[int], float], contexts: Sequence[int]
) -> tuple[int | None, int | None]:
    """Return the smallest context where loading wins, and that from which on it always does.

    Between two contexts of the grid, one where loading wins and one where not, the change is
    found to a block by halving; two changes between neighbours on the grid go unseen. Below
    the grid's first context one block is looked at.

    Returns
    -------
    tuple
        Tokens, whole blocks; None where loading never wins, or not at the longest context.
    """
    size = way.block_tokens
    grid = sorted({size, *(max(1, c // size) * size for c in contexts)})

    def won(tokens: int) -> bool:
        return way.seconds(tokens) < recompute_s(tokens)

    better = [won(tokens) for tokens in grid]
    if not any(better):
        return None, None
    at = better.index(True)
    first = grid[0] if at == 0 else _change(won, grid[at - 1], grid[at], size)
    if not better[-1]:
        return first, None
    lost = [k for k, good in enumerate(better) if not good]
    always = _change(won, grid[lost[-1]], grid[lost[-1] + 1], size) if lost else grid[0]
    return first, always


def _change(won: Callable[[int], bool], loses: int, wins_at: int, size: int) -> int:
    low, high = loses // size, wins_at // size
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if won(middle * size) else (middle, high)
    return high * size
