"""What a tier is and does, in numbers: a scenario's ``[tiers]`` resolved for one model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from tierlab.kernels.base.errors import BadInput
from tierlab.policies.reuse.lru import Lru

if TYPE_CHECKING:
    from tierlab.policies.cache.verbs import BlockPolicy

HBM = "hbm"
"""Name of the engine's own blocks, above all tiers."""


@dataclass(frozen=True)
class TierSpec:
    """One tier of one replica, or one that all replicas share.

    Attributes
    ----------
    name
        Of the tier; and of the node in the hardware where it lives, unless `device` says.
    capacity_bytes
        Physical bytes.
    block_tokens
        Tokens of a block; a multiple of the engine's, and of that of the tier above.
    token_bytes
        Logical KV bytes of a token, all ranks of the replica together.
    compression
        Logical over physical bytes, >= 1. The compressed form is what crosses the link.
    eviction
        The reuse policy; pins and leaves-first hold whatever it is.
    write
        ``through``: blocks come as soon as the tier above has them; ``back``: when the tier above
        evicts them; ``never``: only as promotion or prefetch.
    store_after_uses, tracked
        Only blocks that so many requests asked for are written, counted over so many blocks.
    promote, promote_after_uses
        A block that was loaded from here also enters the fastest tier, from that use on.
    inclusive
        False: the tier keeps no block that a faster one holds.
    staged
        Loads pass through the memory of the fastest tier on their way to HBM.
    shared
        One instance for all replicas.
    touch_all
        A request counts as a use of its blocks here even where a faster tier served it.
    high_watermark, evict_share
        Above that share of the capacity, so large a share of it is evicted at once.
    staging_blocks
        Blocks evicted above that may wait for their copy to this tier; others are lost.
    pieces_per_engine_block
        Copies that an engine block's KV is cut into between HBM and this tier.
    mechanism, device
        How copies are made, and where the tier lives: for the network of copies.
    """

    name: str
    capacity_bytes: float
    block_tokens: int
    token_bytes: float
    compression: float = 1.0
    eviction: BlockPolicy = field(default_factory=Lru)
    write: Literal["through", "back", "never"] = "through"
    store_after_uses: int = 1
    tracked: int = 64_000
    promote: bool = False
    promote_after_uses: int = 1
    inclusive: bool = True
    staged: bool = False
    shared: bool = False
    touch_all: bool = True
    high_watermark: float = 1.0
    evict_share: float = 0.0
    staging_blocks: int = 50_000
    pieces_per_engine_block: int = 1
    mechanism: str = "batched"
    device: str = ""

    @property
    def block_bytes(self) -> float:
        """Physical bytes of a block."""
        return self.block_tokens * self.token_bytes / self.compression

    @property
    def capacity_blocks(self) -> int:
        """Whole blocks that fit."""
        return int(self.capacity_bytes / self.block_bytes * (1 + 1e-12))


@dataclass(frozen=True)
class PrefetchSpec:
    """Copies from lower tiers to the fastest while a request queues, as SGLang's HiCache makes.

    Attributes
    ----------
    policy
        ``best_effort``: a request that is scheduled takes what has come; ``wait_complete``: it
        waits for all; ``timeout``: it waits for at most ``min(most_s, base_s + per_1024_s x
        tokens / 1024)``.
    threshold_tokens
        Fewer are not prefetched.
    batch_blocks
        Blocks of the fastest tier in one copy: what is whole when a prefetch is stopped stays.
    most_tokens
        Tokens on their way at once.
    """

    policy: Literal["none", "best_effort", "wait_complete", "timeout"] = "none"
    threshold_tokens: int = 256
    base_s: float = 2.0
    per_1024_s: float = 0.1
    most_s: float = 30.0
    batch_blocks: int = 128
    most_tokens: float = float("inf")

    def wait_s(self, tokens: int) -> float:
        """Return how long a request may wait for a prefetch of so many tokens."""
        if self.policy == "timeout":
            return min(self.most_s, self.base_s + self.per_1024_s * tokens / 1024)
        return float("inf") if self.policy == "wait_complete" else 0.0


@dataclass(frozen=True)
class Limits:
    """What holds for every request, whatever the tier.

    Attributes
    ----------
    prompt_only
        Replies are not written.
    min_load_tokens
        Shorter hits are computed instead.
    max_load_tokens, max_store_tokens
        The leading tokens of a prompt that may be loaded, and written; None: all.
    """

    prompt_only: bool = True
    min_load_tokens: int = 0
    max_load_tokens: int | None = None
    max_store_tokens: int | None = None


def check(specs: tuple[TierSpec, ...], engine_tokens: int) -> None:
    """Refuse tiers that cannot stand on each other.

    Raises
    ------
    BadInput
        A block size that does not fit the one above, or an exclusive tier that is written
        through, has other blocks than a tier above, or a policy that cannot give up a block.
    """
    above = engine_tokens
    for at, spec in enumerate(specs):
        where = f"tiers.{spec.name}"
        if spec.block_tokens < above or spec.block_tokens % above:
            what = f"{spec.block_tokens} tokens on blocks of {above} above"
            raise BadInput(f"{where}.block_size", what, f"a multiple of {above}")
        above = spec.block_tokens
        if not spec.inclusive:
            _check_exclusive(spec, specs[:at], where)


def _check_exclusive(spec: TierSpec, above: tuple[TierSpec, ...], where: str) -> None:
    from tierlab.policies.cache.verbs import stays

    if spec.write == "through":
        raise BadInput(f"{where}.inclusive", 'false with write = "through"', 'write = "back"')
    if any(other.block_tokens != spec.block_tokens for other in above):
        raise BadInput(f"{where}.inclusive", "false with other blocks than above", "one block size")
    if spec.eviction.verbs.remove is stays:
        what = f"{spec.eviction.name!r} cannot give up single blocks"
        raise BadInput(f"{where}.eviction", what, "a policy that can, or inclusive = true")
