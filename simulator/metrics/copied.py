"""Where the times of copies come from, as shares of the bytes that were copied."""

from __future__ import annotations

import numpy as np

from tierlab.simulator.network.network import Network
from tierlab.simulator.network.records import CODES, NUMBERS
from tierlab.simulator.serving.run import Run

KNOWN = ("measured", "partly", "datasheet")
_ROWS = 1_000_000
_ROUTE = CODES.index("route")
_BYTES, _PIECES, _MOVED = (NUMBERS.index(n) for n in ("bytes", "pieces", "moved_bytes"))


def copied_shares(run: Run) -> dict[str, float]:
    """Return the shares of bytes that moved between tiers, by where their times come from.

    ``measured``, ``partly`` (one end of the way was) and ``datasheet`` sum to 1; ``outside`` are
    those of pieces or depths that were not measured. Nothing where nothing was copied.
    """
    if run.network is None:
        return {}
    if not run.parts.system.measured:
        none = dict.fromkeys((*KNOWN, "outside"), 0.0)
        return none | {"datasheet": 1.0} if run.network.moved() else {}
    moved = _moved(run.network)
    whole = sum(moved[name] for name in KNOWN)
    return {name: nbytes / whole for name, nbytes in moved.items()} if whole > 0 else {}


def _moved(network: Network) -> dict[str, float]:
    out = dict.fromkeys((*KNOWN, "outside"), 0.0)
    if network.records is None:
        return out
    routes = network.records.routes()
    for numbers, codes in network.records.chunks(_ROWS):
        sizes = np.column_stack([codes[:, _ROUTE], numbers[:, [_BYTES, _PIECES]]])
        kinds, of = np.unique(sizes, axis=0, return_inverse=True)
        nbytes = np.bincount(of.ravel(), numbers[:, _MOVED], minlength=len(kinds))
        for (route, size, pieces), total in zip(kinds.tolist(), nbytes.tolist(), strict=True):
            way = routes[int(route)]
            out[way.known] += total
            if size > 0 and any(m.at(size, pieces).outside for m in way.measured):
                out["outside"] += total
    return out
