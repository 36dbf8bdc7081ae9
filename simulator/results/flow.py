"""What tiers held and links carried over time, as Polars frames; every column is documented here.

`TIERS` has one row for each slot of time in which a tier changed, at most 2,048 a tier; `LINKS` has
one row for each of 500 equal parts of the run in which a cause moved bytes over links of a kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tierlab.simulator.network.records import CODES, NUMBERS, Records
from tierlab.simulator.network.transfer import CAUSES
from tierlab.simulator.serving.run import Run
from tierlab.simulator.tiers.history import History
from tierlab.simulator.tiers.spec import HBM
from tierlab.simulator.tiers.tier import Tier

if TYPE_CHECKING:
    import polars as pl

TIERS = {
    "tier": "hbm, dram, cxl, ssd or remote",
    "replica": "the replica whose tier it is, from 0; null where replicas share it",
    "at_s": "when it last changed in a slot of time; in HBM, the end of a step",
    "held_bytes": "KV bytes held then, on all GPUs of the replica; on their way counts as held",
    "peak_bytes": "the most since the row before",
    "hit_tokens": "tokens found there so far, in HBM by blocks, below loaded from there",
}
LINKS = {
    "link": "kind of link, as in the summary",
    "direction": "down is away from the host",
    "cause": "why the bytes moved",
    "start_s": "start of a part of the run",
    "end_s": "end of it",
    "bytes": "moved in it, each copy at its mean rate, summed over links of the kind",
}
PARTS = 500
_START, _END, _MOVED = (NUMBERS.index(name) for name in ("start_s", "end_s", "moved_bytes"))
_ROUTE, _CAUSE = CODES.index("route"), CODES.index("cause")
Floats = NDArray[np.float64]


def tiers_frame(run: Run) -> pl.DataFrame:
    """Return the tiers over time, with the columns of `TIERS`."""
    import polars as pl

    columns: dict[str, list[Any]] = {name: [] for name in TIERS}
    for tier, replica, history in _histories(run):
        number = len(history.at_s)
        columns["tier"] += [tier] * number
        columns["replica"] += [replica] * number
        for name in ("at_s", "held_bytes", "peak_bytes", "hit_tokens"):
            columns[name] += getattr(history, name)
    kinds = {"tier": pl.String, "replica": pl.Int64, "hit_tokens": pl.Int64}
    return pl.DataFrame(columns, schema={name: kinds.get(name, pl.Float64) for name in TIERS})


def _histories(run: Run) -> Iterator[tuple[str, int | None, History]]:
    for replica in range(len(run.caches)):
        yield HBM, replica, _hbm(run, replica)
    seen: set[int] = set()
    for replica, tiering in enumerate(run.tierings):
        for tier in tiering.tiers.tiers:
            if id(tier) not in seen:
                seen.add(id(tier))
                yield tier.spec.name, _owner(tier, replica), tier.history


def _owner(tier: Tier, replica: int) -> int | None:
    return None if tier.spec.shared else replica


def _hbm(run: Run, replica: int) -> History:
    """Return what the pool of a replica held after its macro-steps."""
    rows, history = run.record.of(replica), History()
    ranks, size = run.scenario.engine.tensor_parallel_size, run.scenario.engine.block_size
    held, hits = rows["kv_bytes"] * ranks, rows["blocks_hit"] * size
    for row in zip(rows["end_s"].tolist(), held.tolist(), hits.astype(int).tolist(), strict=True):
        history.note(*row)
    return history


def links_frame(run: Run) -> pl.DataFrame:
    """Return the bytes over links in parts of the run, with the columns of `LINKS`."""
    import polars as pl

    edges = np.linspace(0.0, run.simulated_s, PARTS + 1)
    groups = {edge.name: edge.group for edge in run.parts.system.edges}
    sums: dict[tuple[str, str, str], Floats] = {}
    records = None if run.network is None else run.network.records
    for (link, way, cause), parts in [] if records is None else _moved(records, edges):
        key = (groups[link], way, cause)
        sums[key] = sums.get(key, np.zeros(PARTS)) + parts
    frames = [
        pl.DataFrame(
            {
                **{name: [text] * PARTS for name, text in zip(LINKS, key, strict=False)},
                "start_s": edges[:-1],
                "end_s": edges[1:],
                "bytes": parts,
            }
        ).filter(pl.col("bytes") > 0)
        for key, parts in sorted(sums.items())
    ]
    empty = {
        name: pl.String if name in ("link", "direction", "cause") else pl.Float64 for name in LINKS
    }
    return pl.concat([pl.DataFrame(schema=empty), *frames])


def _moved(records: Records, edges: Floats) -> Iterator[tuple[tuple[str, str, str], Floats]]:
    """Yield (link, direction, cause) and bytes by part, some keys more than once."""
    routes = records.routes()
    for numbers, codes in records.chunks(1 << 18):
        kinds = codes[:, [_ROUTE, _CAUSE]]
        for route, cause in np.unique(kinds, axis=0).tolist():
            mine = (kinds == (route, cause)).all(axis=1) & (numbers[:, _MOVED] > 0)
            start_s, end_s, nbytes = numbers[mine][:, [_START, _END, _MOVED]].T
            parts = by_part(start_s, end_s, nbytes, edges)
            for edge, outward in routes[route].legs:
                yield (edge.name, "down" if outward else "up", CAUSES[cause]), parts


def by_part(start_s: Floats, end_s: Floats, nbytes: Floats, edges: Floats) -> Floats:
    """Return the bytes of copies in each part of the time, float64[len(edges) - 1].

    Parameters
    ----------
    start_s, end_s, nbytes
        float64[n]; each copy moves at one rate from its start to its end.
    edges
        Ends of the parts, rising, from no later than the first start to no sooner than the last
        end.
    """
    parts = len(edges) - 1
    first = np.clip(np.searchsorted(edges, start_s, side="right") - 1, 0, parts - 1)
    last = np.clip(np.searchsorted(edges, end_s, side="left") - 1, first, parts - 1)
    whole = first == last
    out = np.bincount(first[whole], nbytes[whole], parts).astype(np.float64)
    for at in np.flatnonzero(first != last).tolist():
        cuts = np.clip(edges[first[at] : last[at] + 2], start_s[at], end_s[at])
        shares = np.diff(cuts) / (end_s[at] - start_s[at])
        out[first[at] : last[at] + 1] += nbytes[at] * shares
    return out
