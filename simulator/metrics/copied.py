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


Shares = dict[str, float | None]


def copied_shares(run: Run) -> Shares:
    """Return the shares of bytes that moved between tiers, by where their times come from.

    ``measured``, ``partly`` (one end of the way was) and ``datasheet`` sum to 1; ``outside`` are
    those of pieces or depths that were not measured. None where nothing was copied.
    """
    nothing: Shares = dict.fromkeys((*KNOWN, "outside"), None)
    if run.network is None or not run.network.moved():
        return nothing
    if not run.parts.system.measured:
        return {**dict.fromkeys(nothing, 0.0), "datasheet": 1.0}
    moved = _moved(run.network)
    whole = sum(moved[name] for name in KNOWN)
    return {name: nbytes / whole for name, nbytes in moved.items()} if whole > 0 else nothing


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
