"""Keys and values as 8-bit floats, one byte an element, one scale for a layer's whole cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tierlab.policies.protocol import Declares, KvShape, Statistics

LARGEST = 448.0
"""Largest finite e4m3 number (Micikevicius et al., arXiv 2209.05433); larger ones saturate."""


@dataclass(frozen=True)
class Fp8:
    """Store each element in e4m3 (arXiv 2209.05433), as vLLM's ``kv_cache_dtype = fp8`` does.

    The scale is a constant of a layer's keys, and one of its values (1.0 unless calibrated): it
    costs no bytes per token.
    """

    axis: ClassVar[str] = "representation"
    name: ClassVar[str] = "fp8"
    paper: ClassVar[str] = "arXiv 2209.05433; vLLM, Quantized KV Cache"
    declares: ClassVar[Declares] = Declares()
    kv_dtype: ClassVar[str] = "fp8"

    def footprint(self, shape: KvShape) -> NDArray[np.float64]:
        """Return 1 byte x elements x layers for every token, float64[groups, n]."""
        per_token = np.array([1.0 * g.elements_per_token * g.layers for g in shape.groups])
        return per_token[:, None] * shape.tokens

    def statistics(self, source: Mapping[str, object]) -> Statistics:
        """Return the relative precision kept: 1 - 2**-4, the rounding bound, at worst."""
        return Statistics(0.98, 1.0 - 2.0**-4, 1.0, "exact bound: half an ulp of 3 mantissa bits")

    def decide(
        self, values: NDArray[np.floating], kind: str = "key"
    ) -> tuple[NDArray[np.generic], ...]:
        """Round to the nearest e4m3 number (ties to even), saturating; stored as its 8 bits."""
        size = np.minimum(np.abs(values.astype(np.float64)), LARGEST)
        table = _magnitudes()
        above = np.clip(np.searchsorted(table, size), 1, len(table) - 1)
        low, high = table[above - 1], table[above]
        tie = size - low == high - size
        up = np.where(tie, above % 2 == 0, size - low > high - size)
        code = np.where(up, above, above - 1).astype(np.uint8)
        return (code | (np.signbit(values).astype(np.uint8) << 7),)

    def restore(
        self, parts: tuple[NDArray[np.generic], ...], kind: str = "key"
    ) -> NDArray[np.float32]:
        """Widen the stored 8 bits to float32."""
        codes = parts[0].astype(np.uint8)
        sign = np.where(codes & 0x80, -1.0, 1.0)
        wide: NDArray[np.float32] = (sign * _magnitudes()[codes & 0x7F]).astype(np.float32)
        return wide


@cache
def _magnitudes() -> NDArray[np.float64]:
    """Return the magnitudes of codes 0 to 126, float64; 127 is not a number."""
    code = np.arange(127)
    exponent, mantissa = code >> 3, code & 7
    normal = (1 + mantissa / 8) * 2.0 ** (exponent - 7)
    return np.where(exponent == 0, mantissa / 8 * 2.0**-6, normal)
