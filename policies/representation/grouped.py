"""Asymmetric quantisation of rows in groups: codes of few bits, a scale and a least value each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PARAMETER_BYTES = 4
"""A scale and a least value, 16 bit each."""


def group_bytes(numbers: int, bits: int) -> int:
    """Return the stored bytes of a group of so many numbers: packed codes and parameters."""
    return -(-numbers * bits // 8) + PARAMETER_BYTES


def encode_rows(
    rows: NDArray[np.float32], group: int, bits: int
) -> tuple[NDArray[np.uint8], NDArray[np.float16], NDArray[np.float16]]:
    """Quantise along the last axis.

    Parameters
    ----------
    rows
        [..., m groups x group].

    Returns
    -------
    codes
        uint8[..., m, group x bits / 8], the first number in the lowest bits.
    scale, least
        float16[..., m].

    Raises
    ------
    ValueError
        The last axis is no whole number of groups.
    """
    if rows.shape[-1] % group:
        raise ValueError(f"{rows.shape[-1]} numbers are no whole groups of {group}")
    grouped = rows.reshape(*rows.shape[:-1], rows.shape[-1] // group, group)
    least = grouped.min(axis=-1, initial=np.inf).astype(np.float16)
    spread = grouped.max(axis=-1, initial=-np.inf) - least.astype(np.float32)
    scale = np.maximum(spread / (2**bits - 1), 2.0**-14).astype(np.float16)
    steps = (grouped - least[..., None].astype(np.float32)) / scale[..., None].astype(np.float32)
    codes = np.clip(np.rint(steps), 0, 2**bits - 1).astype(np.uint8)
    return _packed(codes, bits), scale, least


def decode_rows(
    codes: NDArray[np.generic],
    scale: NDArray[np.generic],
    least: NDArray[np.generic],
    bits: int,
) -> NDArray[np.float32]:
    """Return the numbers that `encode_rows` quantised, float32[..., m x group]."""
    numbers = _unpacked(codes.astype(np.uint8), bits).astype(np.float32)
    wide = numbers * scale[..., None].astype(np.float32) + least[..., None].astype(np.float32)
    return wide.reshape(*wide.shape[:-2], wide.shape[-2] * wide.shape[-1])


def _packed(codes: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    per_byte = 8 // bits
    parts = codes.reshape(*codes.shape[:-1], codes.shape[-1] // per_byte, per_byte)
    shifts = (np.arange(per_byte) * bits).astype(np.uint8)
    packed: NDArray[np.uint8] = np.bitwise_or.reduce(parts << shifts, axis=-1)
    return packed


def _unpacked(packed: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    shifts = (np.arange(8 // bits) * bits).astype(np.uint8)
    parts = (packed[..., None] >> shifts) & np.uint8(2**bits - 1)
    flat: NDArray[np.uint8] = parts.reshape(*packed.shape[:-1], packed.shape[-1] * len(shifts))
    return flat
