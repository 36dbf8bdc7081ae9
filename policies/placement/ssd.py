"""KV on a drive: each layer's is loaded while the layer before computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tierlab.policies.placement.offloaded import Offloaded


@dataclass(frozen=True)
class Flash(Offloaded):
    """KV on SSD, loaded layer by layer through host memory (FlexGen, arXiv 2303.06865)."""

    name: ClassVar[str] = "ssd"
    tier: ClassVar[str] = "ssd"
