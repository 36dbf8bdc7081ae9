"""The compiled search over tiles against the same formula in plain numbers."""

from math import ceil

import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_device
from tierlab.hwmodels.device import Gpu
from tierlab.hwmodels.time.silicon.gemm import GEMM
from tierlab.hwmodels.time.silicon.machine import Machine, machine_of
from tierlab.hwmodels.time.silicon.tiles import Rates, Tile, least_s
from tierlab.kernels.ops.table import OpTable

RATES = Rates(132.0, 8e14, 4e12, 6e10, 9e12, 2.0, 1.0, 0.7, 1e-7, 2e-6)
TILES = (Tile(128, 256, 1.0, 2e-6, 2), Tile(64, 64, 0.7, 1e-6, 16))


def plain(shape: tuple[float, ...], tile: Tile, splits: int) -> float:
    m, n, k, read_s, write_s, written = shape
    r = RATES
    ctas = ceil(m / tile.rows) * ceil(n / tile.columns) * splits
    exact = ctas / r.sms
    waves = exact + r.whole * (ceil(exact) - exact) if exact > 1 else 1.0
    depth = ceil(k / (splits * 64)) * 64
    area = tile.rows * tile.columns
    compute = waves * (depth * 2 * area * r.sms / tile.share / r.flop_per_s + tile.edge_s)
    drawn = min(r.sms, ctas) * r.sm
    memory = read_s * (1 + (r.hbm / drawn) ** 4) ** 0.25 + write_s
    line = tile.rows * r.operand + tile.columns * r.stored
    stream = min(waves, exact) * r.sms * depth * line / r.l2
    total = max((compute**4 + memory**4) ** 0.25, stream, depth * r.step_s / 64)
    return total + (r.reduce_s + written * 2 * splits / r.l2 if splits > 1 else 0.0)


def test_best_of_tiles_and_splits() -> None:
    rng = np.random.default_rng(0)
    m, n, k = 2.0 ** rng.uniform(0, 14, (3, 3000))
    columns = (np.ceil(m), np.ceil(n), np.ceil(k), *rng.uniform(1e-7, 1e-3, (2, 3000)), m * n)
    found = least_s(columns, RATES, TILES)
    for row in range(0, 3000, 60):
        shape = tuple(float(c[row]) for c in columns)
        tried = [plain(shape, t, s) for t in TILES for s in (1, 2, 4, 8, 16) if s <= t.splits]
        assert found[row] == pytest.approx(min(tried), rel=1e-12)


@pytest.mark.parametrize("schedule", GEMM.schedules)
def test_mixed_dtypes_are_timed_each_at_its_own(schedule: str) -> None:
    machine = _machine()
    start = {name: p.start for name, p in GEMM.parameters.items()}
    shape = {"m": [1, 33, 4096], "n": [4096, 512, 7168], "k": [512, 4096, 1024]}
    pairs = (("bf16", "bf16"), ("fp8", "fp8"), ("bf16", "int4"))
    tables = [OpTable.build("gemm", *pair, **shape) for pair in pairs]
    apart = [GEMM.seconds(t, machine, schedule, start) for t in tables]
    mixed = OpTable.concat(tables).take(np.arange(9)[::-1].copy())
    together = GEMM.seconds(mixed, machine, schedule, start)[::-1]
    np.testing.assert_allclose(together, np.concatenate(apart), rtol=1e-12)
    assert len({tuple(a) for a in apart}) == 3


def _machine() -> Machine:
    device = load_device("H200", "H200")
    assert isinstance(device, Gpu)
    return machine_of(device)
