"""The KV cache of a replica, read from outside: what it holds, and what could be hit."""

from __future__ import annotations

from dataclasses import dataclass

from tierlab.simulator.serving.engine import state
from tierlab.simulator.serving.engine.pool import EVICTED, FREE
from tierlab.simulator.serving.engine.state import Core


@dataclass(frozen=True, eq=False)
class KvCache:
    """Blocks of one replica's GPUs, all ranks alike.

    A request of t tokens holds as many blocks as its bytes fill: one per `block_size` tokens, and
    for models with windowed or recurrent layers some more for what those keep. One block is
    vLLM's null block and holds nothing.
    """

    core: Core

    @property
    def size(self) -> int:
        """Blocks that requests can hold."""
        return len(self.core.blocks.holders)

    @property
    def free(self) -> int:
        """Blocks that nobody holds."""
        return int(self.core.blocks.counts[FREE])

    @property
    def evicted(self) -> int:
        """Blocks whose content was given up for another."""
        return int(self.core.blocks.counts[EVICTED])

    @property
    def blocks_hit(self) -> int:
        """Blocks that requests found at their admission."""
        return int(self.core.reg[state.BLOCKS_HIT])

    @property
    def block_size(self) -> int:
        """Tokens of a block."""
        return int(self.core.reg[state.BLOCK_SIZE])

    @property
    def block_bytes(self) -> float:
        """Bytes of a block on one GPU."""
        return float(self.core.real[state.BLOCK_BYTES])

    def has_room_below(self, row: int) -> bool:
        """Return whether what a request places below HBM could ever lie there."""
        far = self.core.kept.far
        return len(far) == 0 or int(far[row]) <= int(self.core.reg[state.FAR_SIZE])

    def blocks_for(self, tokens: int) -> int:
        """Return the blocks that one request of so many tokens holds."""
        return int(self.core.units[-(-tokens // self.block_size)])
