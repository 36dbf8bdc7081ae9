"""Durations of copies over one link, alone on it: a latency, issue costs, a bandwidth.

``time = latency + max(once + per_piece x pieces, bytes / bandwidth(direction))``

======== ================================================ ================================
loop     one copy call per piece                          the link's issue cost per piece
batched  one call that carries a descriptor per piece     one issue cost, 0.5 us a piece
kernel   a kernel on the SMs that loads and stores        one launch, a share of the link
======== ================================================ ================================

Latency and bandwidth are independent inputs. Contention is the simulator's: here the link is
idle. Constants and their sources stand in ``transfer.toml``.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from tierlab.hwmodels.link import Link
from tierlab.hwmodels.time.times import (
    COPY_GROUPS,
    DATASHEET,
    MECHANISMS,
    Times,
    TransferTable,
)

BIAS_GROUP = COPY_GROUPS
"""Copies of mechanism i err together as group ``BIAS_GROUP + i``."""


@dataclass(frozen=True)
class CopyCosts:
    """What a copy costs by one mechanism.

    Attributes
    ----------
    once_s, piece_s
        To issue it: once, and for each piece.
    outward_bytes_per_s, inward_bytes_per_s
        What a large transfer reaches; outward is from the edge's first end to its second.
    p10, p90
        Factors on the predicted time.
    small_piece_bytes, small_p90
        Pieces below that size take this p90 instead.
    """

    once_s: float
    piece_s: float
    outward_bytes_per_s: float
    inward_bytes_per_s: float
    p10: float
    p90: float
    small_piece_bytes: float = 0.0
    small_p90: float = 1.0


def copy_costs(link: Link) -> tuple[CopyCosts, ...]:
    """Return the costs of each of `MECHANISMS` over `link`.

    Where a link states `gpu_dma_bytes_per_s`, everything that a GPU copies through it is held to
    that, whatever the mechanism.
    """
    return tuple(_costs(link, name, _facts()[name]) for name in MECHANISMS)


def _costs(link: Link, mechanism: str, facts: dict[str, Any]) -> CopyCosts:
    limit = link.gpu_dma_bytes_per_s or np.inf
    out, back = (
        min(link.bandwidth(way), limit) * facts["bandwidth_share"] for way in (True, False)
    )
    loop = mechanism == "loop"
    small = facts.get("small", {"piece_bytes": 0.0, "p90": facts["p90"]})
    return CopyCosts(
        once_s=0.0 if loop else facts.get("launch_s", link.issue_cost_s),
        piece_s=link.issue_cost_s if loop else facts["piece_s"],
        outward_bytes_per_s=out,
        inward_bytes_per_s=back,
        p10=facts["p10"],
        p90=facts["p90"],
        small_piece_bytes=small["piece_bytes"],
        small_p90=small["p90"],
    )


def kernel_sms() -> float:
    """Return the SMs that a copying kernel takes from compute while it runs."""
    return float(_facts()["kernel"]["sms"])


class LinkTransfer:
    """The transfer model of one link, from its datasheet figures.

    Parameters
    ----------
    link
        Its latency, bandwidths and issue cost.
    costs
        One per mechanism; absent, `copy_costs` of the link.
    """

    def __init__(self, link: Link, costs: tuple[CopyCosts, ...] | None = None) -> None:
        every = copy_costs(link) if costs is None else costs
        self._latency_s = link.latency_s
        self._once_s = np.array([c.once_s for c in every])
        self._piece_s = np.array([c.piece_s for c in every])
        ways = [(c.inward_bytes_per_s, c.outward_bytes_per_s) for c in every]
        self._bytes_per_s = np.array(ways)
        self._small_bytes = np.array([c.small_piece_bytes for c in every])
        self._p10 = np.array([c.p10 for c in every])
        self._p90 = np.array([(c.p90, c.small_p90) for c in every])

    def predict(self, transfers: TransferTable) -> Times:
        """Return the durations of `transfers`, each as if alone on the link."""
        how, way = transfers.mechanism, transfers.outward.astype(np.intp)
        issue = self._once_s[how] + self._piece_s[how] * transfers.pieces
        seconds = self._latency_s + np.maximum(issue, transfers.bytes / self._bytes_per_s[how, way])
        small = transfers.bytes < self._small_bytes[how] * transfers.pieces
        n = len(seconds)
        return Times(
            seconds,
            seconds * self._p10[how],
            seconds * self._p90[how, small.astype(np.intp)],
            np.full(n, DATASHEET, np.uint8),
            np.zeros(n, np.bool_),
            how.astype(np.int32) + np.int32(BIAS_GROUP),
        )


@lru_cache(maxsize=1)
def _facts() -> dict[str, dict[str, Any]]:
    path = Path(__file__).with_name("transfer.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))
