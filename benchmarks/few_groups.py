"""How right bands and times are where a kernel was measured for one model's shards alone.

    python benchmarks/few_groups.py [--tables DIR] [--sets N]

Out of attention kernels with many groups of (heads, KV heads, head width), each set holds the five
to seven groups that one model's shards by tensor parallelism make. It is fitted as if there were
no others, a quarter of its groups left out in turn. What was learnt of few groups from these sets
is in `hwmodels/time/silicon/few.py`, so that no kernel that has few was looked at. Two sets of each
kernel take eight minutes; the tables are those of the PyPI package aiconfigurator-core (0.12.0).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tierlab.hwmodels.catalogue import load_device
from tierlab.hwmodels.device import Gpu
from tierlab.hwmodels.time.silicon.aiconfigurator import DEVICES, read_system
from tierlab.hwmodels.time.silicon.few import few
from tierlab.hwmodels.time.silicon.holdout import Row, hold_out
from tierlab.hwmodels.time.silicon.machine import Machine, machine_of
from tierlab.hwmodels.time.silicon.measured import Measured

Shape = tuple[int, int, int]
LEAST = 5
"""Groups of a set."""
POINTS = 5000
"""Of a kernel, at least."""
AIM = (0.75, 0.85)


def shards(known: dict[Shape, int], top: Shape) -> list[int]:
    """Return the groups of a model's shards: half the heads, and half the KV heads while it has."""
    found, shape = [], top
    while shape in known:
        found.append(known[shape])
        heads, kv_heads, width = shape
        if heads % 2:
            break
        shape = heads // 2, max(1, kv_heads // 2), width
    return found


def sets(part: Measured) -> list[list[int]]:
    """Return sets of groups, largest shard first, none of which holds another."""
    groups, first = np.unique(part.groups(), return_index=True)
    at = [part.ops[c][first].astype(int).tolist() for c in ("heads", "kv_heads", "head_dim")]
    known = dict(zip(zip(*at, strict=True), groups.tolist(), strict=True))
    made = [shards(known, top) for top in known]
    made = [one for one in made if len(one) >= LEAST]
    return [one for one in made if not any(set(one) < set(other) for other in made)]


def kernels(tables: Path | None) -> Iterator[tuple[Measured, Machine]]:
    """Yield attention kernels that have many groups, and their GPU."""
    for system, name in DEVICES.items():
        device = load_device(name, name)
        for part in read_system(system, "vllm", None, tables):
            many = "attention" in part.key.op and len(part) >= POINTS and not few(part.groups())
            if many and isinstance(device, Gpu):
                yield part, machine_of(device)


def summary(rows: list[Row]) -> str:
    """Return the means over strata in one line."""
    held = np.array([row.coverage for row in rows])
    errors = np.exp(np.log([(row.median, row.p90) for row in rows]).mean(axis=0))
    within = (held >= AIM[0]) & (held <= AIM[1])
    return (
        f"{len(rows)} strata: median {errors[0]:.2%}, p90 {errors[1]:.2%} (geometric means), "
        f"coverage {held.mean():.1%} +- {held.std():.1%}, {within.mean():.0%} within 75-85%"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=Path)
    parser.add_argument("--sets", type=int, default=2, help="of each kernel, at most")
    given = parser.parse_args()
    found: list[Row] = []
    for place, (part, machine) in enumerate(kernels(given.tables)):
        made = sets(part)
        for i in range(min(given.sets, len(made))):
            groups = made[(place + i * (len(made) // given.sets + 1)) % len(made)]
            found += hold_out(part.take(np.isin(part.groups(), groups)), machine)
        print(f"{machine.name} {part.key.label()}: so far {summary(found)}", flush=True)


if __name__ == "__main__":
    main()
