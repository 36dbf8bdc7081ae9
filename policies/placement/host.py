"""KV in host memory: each layer's is loaded while the layer before computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tierlab.policies.placement.offloaded import Offloaded


@dataclass(frozen=True)
class HostMemory(Offloaded):
    """KV in host DRAM, loaded layer by layer under compute (FlexGen, arXiv 2303.06865)."""

    name: ClassVar[str] = "host"
    tier: ClassVar[str] = "dram"
