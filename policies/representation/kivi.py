"""KIVI: 2 or 4 bit keys per channel and values per token, the most recent ones in 16 bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.ops.table import Work
from tierlab.policies.passes import HALF, Passes
from tierlab.policies.protocol import AttentionCall, Declares, KvShape, Statistics, Tokens
from tierlab.policies.ranges import check_count
from tierlab.policies.representation.grouped import decode_rows, encode_rows, group_bytes


@dataclass(frozen=True)
class Kivi:
    """KIVI (Liu et al., arXiv 2402.02750), as models/llama_kivi.py stores it.

    Keys are quantised in whole blocks of `residual` tokens, values one by one once `residual`
    later ones are there. So of t tokens ``t mod residual`` keys and ``min(t, residual)`` values
    are in 16 bit. A group of `group` numbers (of one channel over tokens for keys, of one token
    over channels for values) shares a scale and a least value, 16 bit each.

    Attributes
    ----------
    group, residual
        ``group_size`` 32 and ``residual_length`` 128; the second is a multiple of the first.
    fused
        The products read quantised keys and values directly (the paper's kernels). False: they
        are expanded to 16 bit in memory first.
    """

    group: int = 32
    residual: int = 128
    fused: bool = True

    axis: ClassVar[str] = "representation"
    name: ClassVar[str] = "kivi"
    paper: ClassVar[str] = "KIVI, arXiv 2402.02750"
    declares: ClassVar[Declares] = Declares(grouped_tokens=True)
    kv_dtype: ClassVar[str] = "int4"
    bits: ClassVar[int] = 4

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_count("group", self.group, 1)
        check_count("residual", self.residual, self.group)
        if self.residual % self.group or self.group % (8 // self.bits):
            raise ValueError(
                f"residual = {self.residual} is no multiple of group = {self.group}, or a group's "
                "numbers do not fill whole bytes"
            )

    def full_keys(self, tokens: Tokens) -> Tokens:
        """Return how many keys of so many tokens are in 16 bit."""
        return tokens % self.residual

    def full_values(self, tokens: Tokens) -> Tokens:
        """Return how many values of so many tokens are in 16 bit."""
        return np.minimum(tokens, self.residual)

    def footprint(self, shape: KvShape) -> NDArray[np.float64]:
        """Return codes, scales, least values and what is in 16 bit, float64[groups, n]."""
        out = np.zeros(shape.tokens.shape)
        for row, g in enumerate(shape.groups):
            keys = self._key_bytes(shape.tokens[row], g.key_elements)
            values = self._value_bytes(shape.tokens[row], g.value_elements)
            out[row] = g.layers * (keys + values)
        return out

    def _key_bytes(self, tokens: Tokens, elements: int) -> NDArray[np.float64]:
        full = self.full_keys(tokens)
        groups = (tokens - full) // self.group
        codes = groups * float(elements * group_bytes(self.group, self.bits))
        return codes + full * (HALF * elements)

    def _value_bytes(self, tokens: Tokens, elements: int) -> NDArray[np.float64]:
        """Cut a token's elements into groups; the last may be short, its scale is there too."""
        full = self.full_values(tokens)
        whole, rest = divmod(elements, self.group)
        row = whole * group_bytes(self.group, self.bits)
        row += group_bytes(rest, self.bits) if rest else 0
        return (tokens - full) * float(row) + full * (HALF * elements)

    def operations(self, call: AttentionCall) -> Work:
        """Quantise what has left the residual window; expand it where kernels are not fused.

        A step quantises one value, and in the mean one key: `residual` of them at once in one
        step of `residual`.
        """
        passes = Passes(call)
        new = passes.pick(call.batch) * passes.pick(call.queries)
        elements = call.elements / 2
        code = group_bytes(self.group, self.bits) / self.group
        passes.move(new * elements * (HALF + code))
        passes.move(new * elements * (HALF + code))
        if not (self.fused or call.prefill):
            kept = passes.pick(call.batch) * passes.pick(call.keys)
            passes.move(2 * kept * elements * (code + HALF))
            passes.move(2 * kept * elements * HALF)
        return passes.work()

    def statistics(self, source: Mapping[str, object]) -> Statistics:
        """Return the precision kept, the largest error over the largest element: at worst."""
        worst = 1.0 / (2**self.bits - 1) + 2.0**-9
        return Statistics(1 - worst / 2, 1 - worst, 1.0, "exact bound: half a step of a group")

    def decide(
        self, values: NDArray[np.floating], kind: str = "key"
    ) -> tuple[NDArray[np.generic], ...]:
        """Return codes, scales and least values of what is quantised, and the rest in float16.

        Raises
        ------
        ValueError
            A head is no whole number of groups wide (values).
        """
        tokens = np.array(values.shape[1], np.int64)
        full = int(self.full_keys(tokens) if kind == "key" else self.full_values(tokens))
        split = values.shape[1] - full
        old = values[:, :split].astype(np.float32)
        rows = old.transpose(0, 2, 1) if kind == "key" else old
        return (*encode_rows(rows, self.group, self.bits), values[:, split:].astype(np.float16))

    def restore(
        self, parts: tuple[NDArray[np.generic], ...], kind: str = "key"
    ) -> NDArray[np.float32]:
        """Decode what `decide` stored, float32[heads, tokens, head_dim]."""
        codes, scale, least, full = parts
        rows = decode_rows(codes, scale, least, self.bits)
        old = rows.transpose(0, 2, 1) if kind == "key" else rows
        shape = full.shape[0], old.shape[1], full.shape[2]
        return np.concatenate([old.reshape(shape), full.astype(np.float32)], axis=1)


@dataclass(frozen=True)
class Kivi4(Kivi):
    """KIVI with 4 bit: 5 bits an element in groups of 32, beside a residual window in 16 bit."""

    name: ClassVar[str] = "kivi-4"
    bits: ClassVar[int] = 4


@dataclass(frozen=True)
class Kivi2(Kivi):
    """KIVI with 2 bit: 3 bits an element in groups of 32, beside a residual window in 16 bit."""

    name: ClassVar[str] = "kivi-2"
    bits: ClassVar[int] = 2
