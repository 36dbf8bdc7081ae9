"""The tiles of vLLM's 8-bit products (``cutlass_scaled_mm``), by a GPU's generation.

From vLLM's sources, ``csrc/.../w8a8/cutlass``, as of 0.24 (Apache-2.0):

- ``scaled_mm_c2x_sm89_fp8_dispatch.cuh`` (Ada): by rows, and by columns up to a power of two;
- ``c3x/scaled_mm_sm90_fp8_dispatch.cuh`` (Hopper): operands swapped up to 64 rows;
- ``c3x/scaled_mm_sm100_fp8_dispatch.cuh`` (Blackwell's data centre SMs): 256 rows are of two SMs;
- ``c3x/scaled_mm_sm120_fp8_dispatch.cuh`` (its other SMs).

The kernels of Ada are CUTLASS 2's, with 60 to 80 kB of shared memory: one CTA an SM everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.silicon.kernel import Floats, generation
from tierlab.hwmodels.time.silicon.machine import Machine

Sides = tuple[int, int]
Table = tuple[tuple[float, tuple[tuple[float, Sides], ...]], ...]
SCHEDULE = "scaled_mm"
"""The schedule of a product that is named for it."""
_ANY = np.inf

_ADA: Table = (
    (16, ((8192, (16, 64)), (16384, (16, 128)), (_ANY, (32, 64)))),
    (32, ((8192, (32, 64)), (16384, (32, 128)), (_ANY, (32, 64)))),
    (64, ((8192, (64, 64)), (16384, (64, 128)), (_ANY, (64, 64)))),
    (128, ((8192, (64, 128)), (16384, (128, 128)), (_ANY, (128, 64)))),
    (256, ((4096, (64, 128)), (_ANY, (128, 128)))),
    (_ANY, ((4096, (128, 128)), (8192, (256, 128)), (_ANY, (128, 128)))),
)
_HOPPER: Table = (
    (16, ((_ANY, (16, 64)),)),
    (64, ((1280, (16, 64)), (_ANY, (64, 64)))),
    (128, ((_ANY, (64, 128)),)),
    (_ANY, ((_ANY, (128, 128)),)),
)
_BLACKWELL: Table = (
    (16, ((_ANY, (32, 128)),)),
    (64, ((_ANY, (64, 128)),)),
    (_ANY, ((_ANY, (128, 128)),)),
)
_SMALL_BLACKWELL: Table = (
    (16, ((_ANY, (16, 64)),)),
    (32, ((_ANY, (32, 64)),)),
    (256, ((_ANY, (64, 64)),)),
    (_ANY, ((_ANY, (128, 128)),)),
)
"""Rows up to which an entry serves; in it, columns up to which a tile (rows, columns) does."""


def table(machine: Machine) -> Table:
    """Return the dispatch of a GPU."""
    made = generation(machine)
    if made != "older":
        return _HOPPER if made == "hopper" else _BLACKWELL
    return _SMALL_BLACKWELL if "fp4" in machine.flop_per_s else _ADA


def is_cutlass2(machine: Machine) -> bool:
    """Say whether the kernels of a GPU are CUTLASS 2's: Ada and before."""
    return table(machine) is _ADA


def tiles(machine: Machine, m: Floats, n: Floats) -> Iterator[tuple[Sides, NDArray[np.bool_]]]:
    """Yield each tile that serves some rows, rows and columns of it, and which, bool[n]."""
    served: dict[Sides, NDArray[np.bool_]] = {}
    left = np.ones(len(m), np.bool_)
    for rows, entries in table(machine):
        here, left = left & (m <= rows), left & (m > rows)
        for columns, tile in entries:
            mine, here = here & (n <= columns), here & (n > columns)
            served[tile] = served[tile] | mine if tile in served else mine
    yield from ((tile, mine) for tile, mine in served.items() if mine.any())
