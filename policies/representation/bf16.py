"""Keys and values as bfloat16, two bytes an element: what models are served in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tierlab.policies.protocol import Declares, KvShape, Statistics


@dataclass(frozen=True)
class Bf16:
    """Store each element in bfloat16 (8 exponent, 7 mantissa bits; arXiv 1905.12322)."""

    axis: ClassVar[str] = "representation"
    name: ClassVar[str] = "bf16"
    paper: ClassVar[str] = "arXiv 1905.12322"
    declares: ClassVar[Declares] = Declares()
    kv_dtype: ClassVar[str] = "bf16"

    def footprint(self, shape: KvShape) -> NDArray[np.float64]:
        """Return 2 bytes x elements x layers for every token, float64[groups, n]."""
        per_token = np.array([2.0 * g.elements_per_token * g.layers for g in shape.groups])
        return per_token[:, None] * shape.tokens

    def statistics(self, source: Mapping[str, object]) -> Statistics:
        """Return the relative precision kept: 1 - 2**-8, the rounding bound, at worst."""
        return Statistics(1.0, 1.0 - 2.0**-8, 1.0, "exact: round to nearest, half an ulp")

    def decide(
        self, values: NDArray[np.floating], kind: str = "key"
    ) -> tuple[NDArray[np.generic], ...]:
        """Round to the nearest bfloat16 (ties to even); stored as its upper 16 bits."""
        bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
        rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
        return ((rounded >> np.uint32(16)).astype(np.uint16),)

    def restore(
        self, parts: tuple[NDArray[np.generic], ...], kind: str = "key"
    ) -> NDArray[np.float32]:
        """Widen the stored 16 bits to float32."""
        wide = parts[0].astype(np.uint32) << np.uint32(16)
        return wide.view(np.float32)
