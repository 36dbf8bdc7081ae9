"""What placements outside HBM share: a share stays, the rest passes through layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tierlab.policies.protocol import Declares, Statistics, View
from tierlab.policies.ranges import check_count, check_share

Bytes = NDArray[np.float64]


@dataclass(frozen=True)
class Offloaded:
    """KV in a tier below HBM, brought in for the layer that needs it.

    Attributes
    ----------
    hbm_share
        Share of each layer's KV that stays in HBM (FlexGen's ``--percent``, cache on GPU).
    buffers
        Layers in HBM at once: 2 overlaps the next layer's load with this one's attention.
    """

    hbm_share: float = 0.0
    buffers: int = 2

    axis: ClassVar[str] = "placement"
    name: ClassVar[str] = "offloaded"
    paper: ClassVar[str] = "FlexGen, arXiv 2303.06865"
    declares: ClassVar[Declares] = Declares(paged=True)
    tier: ClassVar[str] = "dram"

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_share("hbm_share", self.hbm_share)
        check_count("buffers", self.buffers, 1)

    @property
    def overlaps(self) -> bool:
        """Whether the next layer's load runs under this layer's compute."""
        return self.buffers > 1

    def footprint(self, stored_bytes: Bytes) -> dict[str, Bytes]:
        """Split each sequence's bytes; what passes through HBM is `staged`, not stored."""
        hbm = self.hbm_share * stored_bytes
        return {"hbm": hbm, self.tier: stored_bytes - hbm}

    def moved(self, read_bytes: Bytes) -> dict[str, Bytes]:
        """Return what a decode step brings to HBM: all that it reads of the tier's share."""
        return {self.tier: (1.0 - self.hbm_share) * read_bytes}

    def staged(self, layer_bytes: Bytes) -> Bytes:
        """Return the HBM bytes of the layers that are in at once."""
        return self.buffers * (1.0 - self.hbm_share) * layer_bytes

    def statistics(self, source: Mapping[str, object]) -> Statistics:
        """Return the share of reads served by HBM."""
        share = self.hbm_share
        return Statistics(share, share, share, "exact: the share that stays")

    def decide(self, blocks: int, view: View) -> tuple[str, ...]:
        """Return HBM for the first blocks up to the share, the tier for the others."""
        stay = int(self.hbm_share * blocks)
        return ("hbm",) * stay + (self.tier,) * (blocks - stay)
