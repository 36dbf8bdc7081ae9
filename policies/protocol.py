"""What a policy is: an axis, declarations, and three methods kept apart.

`footprint` is exact and follows from shapes alone; `statistics` is a distribution, for what
depends on content; `decide` is the real choice on real tensors. The same object serves the
simulator (the first two) and the executor (the third).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.models.kv import KvGroup
from tierlab.kernels.ops.table import Work

AXES = ("retention", "representation", "selection", "placement", "reuse")
FAMILIES = (*AXES, "loading")
"""The axes of a KV design, and what an engine decides beside it."""
TIERS = ("hbm", "dram", "cxl", "ssd", "remote")
Tokens = NDArray[np.int64]


@dataclass(frozen=True)
class Declares:
    """What a policy says of itself, so that impossible compositions can be refused.

    Attributes
    ----------
    reusable
        The KV that it leaves is a function of the tokens alone. KV chosen by a query is not:
        no other request can use it as its prefix.
    shares
        It serves one request from the KV of another (reuse), so it needs reusable KV.
    per_head
        Heads keep different numbers of tokens: ragged lengths, which break equal pages.
    paged
        It needs pages of equal length over the heads.
    needs_scores
        It reads attention scores, which fused kernels do not return.
    extra_pass
        It pays for those scores with a pass of its own, and counts it.
    drops_at
        When it drops tokens that were stored: ``prefill`` (once, when the prompt is whole),
        ``step`` (at every new token), both, or never.
    grouped_tokens
        It stores or reads several neighbouring tokens as one group, so that a token cannot be
        dropped from the middle.
    partial
        A decode step reads a part of what is stored.
    """

    reusable: bool = True
    shares: bool = False
    per_head: bool = False
    paged: bool = False
    needs_scores: bool = False
    extra_pass: bool = False
    drops_at: tuple[str, ...] = ()
    grouped_tokens: bool = False
    partial: bool = False

    @property
    def drops_after_write(self) -> bool:
        """Whether stored tokens are ever dropped."""
        return bool(self.drops_at)


@dataclass(frozen=True, eq=False)
class KvShape:
    """The KV cache of n sequences, as an axis finds it.

    Attributes
    ----------
    groups
        Layers of one shape: what one token costs in one layer on one device.
    tokens
        int64[len(groups), n]: tokens of each sequence that layers of the group hold.
    prompt
        int64[len(groups), n]: those that came with the prompt; None where all did. What is
        chosen once at the end of the prompt depends on it.
    """

    groups: tuple[KvGroup, ...]
    tokens: Tokens
    prompt: Tokens | None = None

    @property
    def prompt_tokens(self) -> Tokens:
        """Tokens that came with the prompt, int64 like `tokens`."""
        return self.tokens if self.prompt is None else np.minimum(self.prompt, self.tokens)


@dataclass(frozen=True, eq=False)
class AttentionCall:
    """What the attention of some layers is called with in n steps, on one rank.

    Attributes
    ----------
    layers, heads, kv_heads, head_dim
        Layers of this shape, query and KV heads, elements of a head.
    elements
        Elements that a token leaves in one layer, keys and values; MLA's row serves for both.
    window
        Keys that a query sees; 0 means all.
    prefill
        A chunk of a prompt, or one query a sequence.
    batch, queries, keys
        int64[n]: sequences, new tokens of each, and keys that the last of them sees.
    ends_prompt
        bool[n], the chunk is the prompt's last.
    """

    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    elements: int
    window: int
    prefill: bool
    batch: Tokens
    queries: Tokens
    keys: Tokens
    ends_prompt: NDArray[np.bool_]


@dataclass(frozen=True)
class Statistics:
    """A distribution of a share in [0, 1], with its source."""

    mean: float
    p10: float
    p90: float
    source: str


@runtime_checkable
class Policy(Protocol):
    """What all five axes have in common.

    A policy is a frozen dataclass; its fields are its parameters, set from a scenario.
    """

    axis: ClassVar[str]
    name: ClassVar[str]
    paper: ClassVar[str]
    declares: ClassVar[Declares]

    def statistics(self, source: Mapping[str, object]) -> Statistics:
        """Return the distribution of what content decides.

        Parameters
        ----------
        source
            A measured log's summary, or stated assumptions; a policy whose effect does not
            depend on content ignores it.
        """


@runtime_checkable
class Works(Protocol):
    """A policy that makes operations run beside the model's own; others leave this out."""

    def operations(self, call: AttentionCall) -> Work:
        """Return the operations of n steps, in the rows of `call`'s layers."""


@runtime_checkable
class Summarises(Protocol):
    """A policy that stores and reads something beside keys and values, in HBM."""

    def summary_footprint(self, shape: KvShape) -> NDArray[np.float64]:
        """Return the bytes stored, and read by each decode step, float64[groups, n]."""


@runtime_checkable
class KeepsNear(Protocol):
    """A selection with tokens that stay in HBM wherever the others are placed."""

    def resident(self, shape: KvShape) -> Tokens:
        """Return those tokens, int64 like ``shape.tokens``."""


@runtime_checkable
class Moves(Protocol):
    """A placement whose KV lies partly outside HBM, and passes through it layer by layer."""

    def moved(self, read_bytes: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """Return what a decode step brings to HBM, tier -> float64[n], of the bytes it reads."""

    def staged(self, layer_bytes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the HBM bytes that it passes through, float64[n], of the largest layer's."""


def overlaps(placement: Policy) -> bool:
    """Say whether a placement's next layer comes while this one computes: unless it denies it.

    One that waits for each layer has an attribute ``overlaps`` that is False.
    """
    return bool(getattr(placement, "overlaps", True))


class Retention(Policy, Protocol):
    """Which tokens stay at all."""

    def footprint(self, shape: KvShape) -> Tokens:
        """Return the tokens that stay, int64 like ``shape.tokens``."""

    def decide(self, keys: NDArray[np.floating], scores: NDArray[np.floating] | None) -> Tokens:
        """Return the positions that stay, int64[heads, kept], ascending.

        Parameters
        ----------
        keys
            [heads, tokens, head_dim].
        scores
            Attention mass [heads, tokens], or None where the kernel returns none.
        """


class Representation(Policy, Protocol):
    """How what stays is stored."""

    kv_dtype: ClassVar[str]

    def footprint(self, shape: KvShape) -> NDArray[np.float64]:
        """Return the stored bytes per group and sequence, all layers, float64[groups, n]."""

    def decide(
        self, values: NDArray[np.floating], kind: str = "key"
    ) -> tuple[NDArray[np.generic], ...]:
        """Encode real keys or values [heads, tokens, head_dim]; the parts are what is stored.

        Parameters
        ----------
        kind
            ``key`` or ``value``: some formats group the two along different axes.
        """

    def restore(
        self, parts: tuple[NDArray[np.generic], ...], kind: str = "key"
    ) -> NDArray[np.float32]:
        """Decode what `decide` stored, float32[heads, tokens, head_dim]."""


class Selection(Policy, Protocol):
    """Which of it is read in a decode step."""

    def footprint(self, shape: KvShape) -> Tokens:
        """Return the tokens read by one decode step, int64 like ``shape.tokens``."""

    def decide(self, query: NDArray[np.floating], keys: NDArray[np.floating]) -> Tokens:
        """Return the positions that this query [heads, head_dim] reads, int64[heads, read]."""


class Placement(Policy, Protocol):
    """In which tier the bytes live."""

    def footprint(self, stored_bytes: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """Split the bytes of each sequence, float64[n], over `TIERS`; the parts sum to it."""

    def decide(self, blocks: int, view: View) -> tuple[str, ...]:
        """Return the tier of each of a sequence's blocks, oldest first."""


class Reuse(Policy, Protocol):
    """What is kept for other requests."""

    def footprint(self, block_bytes: float) -> float:
        """Return the bytes that keeping one finished block costs; 0 where nothing is kept."""

    def decide(self, block_ids: Tokens, view: View) -> int:
        """Return how many leading blocks of a prompt are served from what was kept."""


class View(Protocol):
    """What a policy may see of the run: never the simulator itself."""

    def free_bytes(self, tier: str) -> float:
        """Return the bytes still free in a tier."""

    def stored_in(self, block_id: int) -> str | None:
        """Return the fastest tier that holds a block, or None."""

    def load_s(self, tier: str, nbytes: float) -> float:
        """Return what loading so many bytes from a tier to HBM would take now."""

    def recompute_s(self, tokens: int, past: int) -> float:
        """Return what computing so many tokens after `past` others would take."""


@dataclass(frozen=True, eq=False)
class LoadView:
    """The choices for one request whose next blocks lower tiers hold; arrays of one length.

    Choice 0 loads nothing, each further one some more leading blocks, the last all.

    Attributes
    ----------
    blocks, tokens
        int64, leading blocks and tokens that are loaded; ascending from 0.
    nbytes
        float64, bytes that leave the tiers.
    load_s
        float64, what the load would take now, from its request to its end; 0 for choice 0.
    recompute_s
        float64, what computing the rest of the prompt would take.
    queue_s
        Of `load_s`, the time before the first byte of it moves.
    overlaps
        Whether computing goes on while the load does (layerwise), or waits for it.
    """

    blocks: Tokens
    tokens: Tokens
    nbytes: NDArray[np.float64]
    load_s: NDArray[np.float64]
    recompute_s: NDArray[np.float64]
    queue_s: float = 0.0
    overlaps: bool = False

    def total_s(self) -> NDArray[np.float64]:
        """Return the estimated time to the prompt's end for each choice, float64."""
        if self.overlaps:
            return np.maximum(self.load_s, self.recompute_s)
        return self.load_s + self.recompute_s


class Loading(Policy, Protocol):
    """How much of what lower tiers hold is loaded for a request, and how much computed again.

    No axis of a design: it changes neither what is stored nor where, so it composes with every
    placement, and it is asked per request, with costs that depend on the queue of the moment.
    """

    def footprint(self, stored: Tokens) -> Tokens:
        """Return the most tokens that are loaded of so many stored, int64 like `stored`."""

    def decide(self, view: LoadView) -> int:
        """Return the choice: a place in the view's arrays."""
