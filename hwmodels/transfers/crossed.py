"""Which measurements stand for which part of a copy's way."""

from __future__ import annotations

from collections.abc import Sequence

from tierlab.hwmodels.device import Gpu, Host, Ssd
from tierlab.hwmodels.system import System
from tierlab.hwmodels.transfers.way import Way


def crossed(
    system: System, nodes: Sequence[str], mechanism: str
) -> tuple[tuple[Way, ...], frozenset[int]]:
    """Return what was measured of a copy's ends, and the legs that it stands for.

    A drive's or GPU's times reach from it to the host that the copy passes or ends at. Of a GPU
    whose copy passes no host nothing was measured; a drive's times stand for its own link then.

    Parameters
    ----------
    nodes
        On the way, source and destination among them; leg i leads from ``nodes[i]`` on.

    Raises
    ------
    BadInput
        The end was measured, but not that way or by that mechanism.
    """
    hosts = [i for i, node in enumerate(nodes) if isinstance(system.nodes[node], Host)]
    last = len(nodes) - 1
    ways: list[Way] = []
    legs: set[int] = set()
    for end, host, leaves in (
        (0, min(hosts, default=1), True),
        (last, max(hosts, default=last - 1), False),
    ):
        found = system.measured.get(nodes[end])
        device = system.nodes[nodes[end]]
        if found is None or (isinstance(device, Gpu) and not hosts):
            continue
        if isinstance(device, Ssd):
            ways.append(found.way("read" if leaves else "write"))
        else:
            ways.append(found.way("out" if leaves else "in", mechanism))
        legs |= set(range(host) if leaves else range(host, last))
    return tuple(ways), frozenset(legs)
