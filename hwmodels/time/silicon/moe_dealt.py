"""How a batch's rows are dealt out: to the experts that are read, and there to tiles.

The formula, the coordinates and the features of grouped products all start from it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.silicon.kernel import Floats
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.moe_layer import Layer, layer_of, uneven
from tierlab.hwmodels.time.silicon.moe_tiles import Tiles, high, tiles
from tierlab.hwmodels.time.silicon.once import once
from tierlab.kernels.ops.moe import experts_touched
from tierlab.kernels.ops.table import OpTable


class Dealt(NamedTuple):
    """What a product computes on, all float64[n] but the tuples and `uneven`.

    Attributes
    ----------
    of, uneven
        Its layer, and whether its rows are uneven (`moe_layer`), bool[n].
    rows
        Of an expert that is read.
    tile, high
        Its tiles, and how many of them an expert's rows fill.
    """

    of: Layer
    uneven: NDArray[np.bool_]
    rows: Floats
    tile: Tiles
    high: Floats


@once
def read(ops: OpTable) -> Floats:
    """Return the experts that are read, float64[n]."""
    return experts_touched(ops)


@once
def layer(ops: OpTable, schedule: str) -> tuple[Layer, NDArray[np.bool_]]:
    """Return the layer of each product, and whether its sizes are uneven."""
    of = layer_of(ops, schedule)
    return of, uneven(of, ops, schedule)


@once
def dealt(ops: OpTable, machine: Machine, schedule: str) -> Dealt:
    """Return how rows are dealt out; a batch on other devices' experts has less than one."""
    return _dealt(ops, machine, schedule, ops["m"] * ops["top_k"])


def dealt_whole(ops: OpTable, machine: Machine, schedule: str) -> Dealt:
    """Return the same of one row at least."""
    routed = ops["m"] * ops["top_k"]
    if (routed >= 1.0).all():
        return dealt(ops, machine, schedule)
    return _dealt(ops, machine, schedule, np.maximum(routed, 1.0))


def _dealt(ops: OpTable, machine: Machine, schedule: str, routed: Floats) -> Dealt:
    of, odd = layer(ops, schedule)
    touched = read(ops)
    rows = routed / touched
    tile = tiles(ops, machine, schedule, rows, of.inner)
    return Dealt(of, odd, rows, tile, high(ops, rows, touched, tile.height))
