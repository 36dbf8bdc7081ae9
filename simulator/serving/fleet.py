"""The replicas of a run behind their router."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tierlab.simulator.network.network import Network
from tierlab.simulator.serving.engine import state
from tierlab.simulator.serving.engine.compiled import Lookups
from tierlab.simulator.serving.kvcache import KvCache
from tierlab.simulator.serving.replica import Replica
from tierlab.simulator.serving.requests import Requests
from tierlab.simulator.serving.routing.protocol import Arriving, Router
from tierlab.traces.schema import Trace


@dataclass(eq=False)
class Node:
    """One replica with all that is its own; to a router, a `ReplicaView`.

    Attributes
    ----------
    requests, tokens
        Requests sent here and not answered yet, and the tokens of their prompts.
    sent
        Requests sent here so far.
    """

    index: int
    cache: KvCache
    replica: Replica
    requests: int = 0
    tokens: int = 0
    sent: int = 0

    def __post_init__(self) -> None:
        self.lookups = Lookups(self.replica.core)

    @property
    def waiting(self) -> int:
        """Requests that its scheduler has not admitted."""
        reg = self.replica.core.reg
        return int(reg[state.WAITING] + reg[state.INBOX])

    @property
    def running(self) -> int:
        """Requests that its scheduler has admitted."""
        return int(self.replica.core.reg[state.RUNNING])


@dataclass(eq=False)
class _CachedTokens:
    """Looks into replicas for one prompt; its blocks are named when first asked for.

    The last token is always computed, so a hit never uses all of a prompt.
    """

    nodes: Sequence[Node]
    row: int
    tokens: int
    _blocks: int = field(default=-1)

    def __call__(self, index: int) -> int:
        node = self.nodes[index]
        core = node.replica.core
        if not core.reg[state.SHARING]:
            return 0
        size = int(core.reg[state.BLOCK_SIZE])
        if self._blocks < 0:
            self._blocks = (self.tokens - 1) // size
            node.lookups.name_blocks(self.row, 0, self._blocks)
        return int(node.lookups.match(core.names.scratch, self._blocks)) * size


class Fleet:
    """Sends each request to the replica that the router chooses, and keeps its view.

    What the router sees changes when requests come and go, not with each token, so that it does
    not depend on how many steps pass in one event. Blocks that a macro-step evicts are the
    exception: the router sees them until the step ends.

    Attributes
    ----------
    network
        Carries the copies between tiers; None where there are none below HBM.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        router: Router,
        requests: Requests,
        trace: Trace,
        network: Network | None = None,
    ) -> None:
        self.nodes, self._router, self._r = nodes, router, requests
        self._session, self.network = trace.session, network

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def submit(self, row: int) -> None:
        """Route a request that arrives now."""
        node = self.nodes[self._choose(row) if len(self.nodes) > 1 else 0]
        self._r.replica[row] = node.index
        self._load(node, row, 1)
        node.sent += 1
        node.replica.submit(row)

    def answered(self, row: int) -> None:
        """Take note that a request was answered."""
        node = self.nodes[self._r.replica[row]]
        self._load(node, row, -1)
        if node.replica.tiering is not None:
            node.replica.tiering.answered(row)

    def _load(self, node: Node, row: int, sign: int) -> None:
        node.requests += sign
        node.tokens += sign * int(self._r.input_tokens[row])

    def _choose(self, row: int) -> int:
        tokens = int(self._r.input_tokens[row])
        cached = _CachedTokens(self.nodes, row, tokens)
        return self._router.choose(Arriving(int(self._session[row]), tokens, cached), self.nodes)
