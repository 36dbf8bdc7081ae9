"""Quantise and dequantise by groups, as KIVI does (arXiv 2402.02750): 4 or 2 bits, no rotation.

Each group of neighbours along the last axis is stored as ``low + scale x code`` with code from 0
to 2^bits - 1. Sixteen bytes hold 128 / bits neighbours: byte i holds number i in its lowest bits,
then i + 16, and so on, so that one load and one shift yield sixteen neighbours in order.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.compute.cuda.launch import cover, element, launch
from tierlab.kernels.compute.jit import shared

UNIT_BYTES = 16
BITS = (2, 4)


@dataclass(frozen=True, eq=False)
class Codes:
    """A quantised array of logical shape [..., rows, n].

    Attributes
    ----------
    codes
        uint8[..., rows, n x bits / 8].
    scale, low
        float32[..., n / group, rows]: transposed, because attention reads one group of all rows.
    bits, group
        Bits of a code; neighbours that share a scale.
    """

    codes: Any
    scale: Any
    low: Any
    bits: int
    group: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the logical shape."""
        return (*self.codes.shape[:-1], self.codes.shape[-1] * 8 // self.bits)

    @property
    def nbytes(self) -> int:
        """Return the bytes of codes, scales and lows."""
        return int(self.codes.nbytes + self.scale.nbytes + self.low.nbytes)


def check(n: int, bits: int, group: int) -> None:
    """Refuse sizes that do not pack.

    Raises
    ------
    BadInput
        `bits` is not 2 or 4, or a unit or group does not divide `n`.
    """
    if bits not in BITS:
        raise BadInput("bits", f"{bits} bits a code", "2 or 4")
    unit = UNIT_BYTES * 8 // bits
    if n % unit or group < 1 or n % group:
        what = f"{n} values in groups of {group}"
        raise BadInput("group", what, f"a multiple of {unit} and of the group")


def pack(codes: Any, bits: int) -> Any:
    """Pack uint8[..., n] into uint8[..., n x bits / 8]."""
    per = 8 // bits
    parts = codes.reshape(*codes.shape[:-1], -1, per, UNIT_BYTES)
    packed = parts[..., 0, :]
    for i in range(1, per):
        packed = packed | (parts[..., i, :] << np.uint8(bits * i))
    return packed.reshape(*codes.shape[:-1], -1)


def unpack(packed: Any, bits: int) -> Any:
    """Undo `pack`."""
    units = packed.reshape(*packed.shape[:-1], -1, 1, UNIT_BYTES)
    shifts = (np.arange(8 // bits, dtype=np.uint8) * np.uint8(bits))[:, None]
    codes = (units >> shifts) & np.uint8(2**bits - 1)
    return codes.reshape(*packed.shape[:-1], -1)


def reference(x: Any, bits: int, group: int) -> Codes:
    """Quantise by array operations; see `numba_version` for the operands."""
    check(x.shape[-1], bits, group)
    groups = x.astype(np.float32).reshape(*x.shape[:-1], -1, group)
    low = groups.min(axis=-1)
    scale = (groups.max(axis=-1) - low) / np.float32(2**bits - 1)
    inverse = 1 / np.where(scale > 0, scale, np.float32(1))
    codes = np.rint((groups - low[..., None]) * inverse[..., None])
    codes = np.clip(codes, 0, 2**bits - 1).astype(np.uint8).reshape(x.shape)
    scale, low = (np.ascontiguousarray(np.swapaxes(side, -1, -2)) for side in (scale, low))
    return Codes(pack(codes, bits), scale, low, bits, group)


def numba_version(x: Any, bits: int, group: int) -> Codes:
    """Quantise along the last axis.

    Parameters
    ----------
    x
        float32[..., rows, n].
    bits
        2 or 4.
    group
        Neighbours that share a scale; it and 128 / bits divide n.

    Raises
    ------
    BadInput
        As `check`.
    """
    check(x.shape[-1], bits, group)
    rows, n = x.shape[-2:]
    flat = np.ascontiguousarray(x, np.float32).reshape(-1, rows, n)
    codes = np.empty((len(flat), rows, n * bits // 8), np.uint8)
    scale, low = np.empty((2, len(flat), n // group, rows), np.float32)
    _quantise(len(flat) * rows, flat, codes, scale, low, bits, group)
    scale, low = (side.reshape(*x.shape[:-2], n // group, rows) for side in (scale, low))
    return Codes(codes.reshape(*x.shape[:-1], -1), scale, low, bits, group)


def cupy_version(x: Any, bits: int, group: int) -> Codes:
    """Quantise on the GPU; see `numba_version`."""
    import cupy

    check(x.shape[-1], bits, group)
    rows, n = x.shape[-2:]
    codes = cupy.empty((*x.shape[:-1], n * bits // 8), cupy.uint8)
    scale, low = (cupy.empty((*x.shape[:-2], n // group, rows), cupy.float32) for _ in range(2))
    kind = {"ELEMENT": element("x", x), "BITS": bits}
    sizes = (rows, n, group, cupy.int64(scale.size))
    launch("quantise.sides", (cover(scale.size, 8),), 256, (x, *sizes, scale, low), **kind)
    sizes = (rows, n, group, cupy.int64(codes.size))
    launch("quantise.pack", (cover(codes.size, 256),), 256, (x, scale, low, *sizes, codes), **kind)
    return Codes(codes, scale, low, bits, group)


def dequantise_reference(codes: Codes) -> Any:
    """Return float32[..., rows, n]."""
    values = unpack(codes.codes, codes.bits).astype(np.float32)
    groups = values.reshape(*values.shape[:-1], -1, codes.group)
    scale, low = (np.swapaxes(side, -1, -2)[..., None] for side in (codes.scale, codes.low))
    return (groups * scale + low).reshape(values.shape)


def dequantise_numba_version(codes: Codes) -> NDArray[np.float32]:
    """Return float32[..., rows, n]."""
    rows, n = codes.shape[-2:]
    packed = codes.codes.reshape(-1, rows, codes.codes.shape[-1])
    sides = [side.reshape(len(packed), -1, rows) for side in (codes.scale, codes.low)]
    out = np.empty((len(packed), rows, n), np.float32)
    _dequantise(len(out) * rows, packed, *sides, out, codes.bits, codes.group)
    return out.reshape(codes.shape)


def dequantise_cupy_version(codes: Codes) -> Any:
    """Dequantise on the GPU."""
    import cupy

    out = cupy.empty(codes.shape, cupy.float32)
    sizes = (*codes.shape[-2:], codes.group, cupy.int64(codes.codes.size))
    operands = (codes.codes, codes.scale, codes.low, *sizes, out)
    grid = (cover(codes.codes.size, 256),)
    launch("quantise.unpack", grid, 256, operands, ELEMENT=0, BITS=codes.bits)
    return out


@shared
def _quantise(start, stop, x, codes, scale, low, bits, group):
    top = np.float32((1 << bits) - 1)
    rows, n = x.shape[1], x.shape[2]
    unit = 16 * 8 // bits
    for turn in range(start, stop):
        i, row = turn // rows, turn % rows
        codes[i, row, :] = 0
        for g in range(n // group):
            least = x[i, row, g * group]
            most = least
            for k in range(g * group, (g + 1) * group):
                least, most = min(least, x[i, row, k]), max(most, x[i, row, k])
            step = (most - least) / top
            scale[i, g, row], low[i, g, row] = step, least
            inverse = np.float32(1.0) / step if step > 0 else np.float32(1.0)
            for k in range(g * group, (g + 1) * group):
                code = np.uint8(min(np.rint((x[i, row, k] - least) * inverse), top))
                within = k % unit
                codes[i, row, k // unit * 16 + within % 16] |= code << (bits * (within // 16))


@shared
def _dequantise(start, stop, codes, scale, low, out, bits, group):
    rows, n = out.shape[1], out.shape[2]
    unit = 16 * 8 // bits
    mask = (1 << bits) - 1
    for turn in range(start, stop):
        i, row = turn // rows, turn % rows
        for k in range(n):
            within = k % unit
            byte = codes[i, row, k // unit * 16 + within % 16]
            code = np.float32((byte >> (bits * (within // 16))) & mask)
            out[i, row, k] = code * scale[i, k // group, row] + low[i, k // group, row]
