import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_device
from tierlab.hwmodels.time.silicon import dispatch
from tierlab.hwmodels.time.silicon.machine import machine_of
from tierlab.hwmodels.time.silicon.registry import KERNELS
from tierlab.kernels.ops.table import OpTable


def gpu(name):
    return machine_of(load_device(name, name))


def start(**changed):
    return {k: p.start for k, p in KERNELS["gemm"].parameters.items()} | changed


@pytest.mark.parametrize("name", ["A100-80G", "L40S", "H200", "B200", "RTX-PRO-6000"])
def test_every_shape_has_one_tile(name):
    m, n = (x.ravel() for x in np.meshgrid(2.0 ** np.arange(16), 2.0 ** np.arange(5, 18)))
    served = sum(rows.astype(int) for _, rows in dispatch.tiles(gpu(name), m, n))
    assert (served == 1).all()


@pytest.mark.parametrize(
    ("name", "m", "n", "tile"),
    [
        ("L40S", 16, 8192, (16, 64)),
        ("L40S", 17, 16384, (32, 128)),
        ("L40S", 100, 65536, (128, 64)),
        ("L40S", 256, 4096, (64, 128)),
        ("L40S", 257, 8192, (256, 128)),
        ("L40S", 257, 8193, (128, 128)),
        ("H200", 64, 1280, (16, 64)),
        ("H200", 64, 1281, (64, 64)),
        ("B200", 65, 512, (128, 128)),
        ("RTX-PRO-6000", 256, 512, (64, 64)),
    ],
)
def test_tiles_are_those_of_the_sources(name, m, n, tile):
    found = dispatch.tiles(gpu(name), np.array([float(m)]), np.array([float(n)]))
    assert [sides for sides, _ in found] == [tile]


def test_a_wave_more_where_the_dispatch_makes_one_tile_too_many():
    """128 x 128 on 142 SMs: 512 rows by 4,096 columns are 128 tiles, 513 rows are 160."""
    ops = OpTable.build("gemm", "fp8", "fp8", m=[512, 513], n=4096, k=16384)
    p = start(whole=1.0, l2_speed=8.0, row_ns=1e-3, element_c=1e-3, input_pass=0.1, odd=1e-3)
    seconds = KERNELS["gemm"].seconds(ops, gpu("L40S"), "scaled_mm", p)
    assert seconds[1] / seconds[0] > 1.6


def test_quantising_takes_cycles_of_an_sm_or_the_memorys_time():
    """Rows of few elements cost their block of threads, rows that overflow L2 their traffic."""
    machine = gpu("L40S")
    narrow = OpTable.build("gemm", "fp8", "fp8", m=[16384, 32768], n=32, k=32)
    wide = OpTable.build("gemm", "fp8", "fp8", m=[16384, 32768], n=32, k=16384)
    p, free = start(element_c=1e-3), start(element_c=1e-3, row_ns=1e-3, input_pass=0.1)
    for ops, least in (
        (narrow, 16384 * p["row_ns"] * 264.0 / (machine.sms * machine.clock_hz)),
        (wide, 0.9 * 16384 * 16384 * 3.0 / machine.bytes_per_s),
    ):
        costs = [KERNELS["gemm"].seconds(ops, machine, "scaled_mm", v) for v in (p, free)]
        assert (costs[0] - costs[1])[1] > 1.9 * (costs[0] - costs[1])[0] > 1.7 * least


def test_products_of_16_bits_take_the_fastest_tile():
    ops = OpTable.build("gemm", "bf16", "bf16", m=[1, 300, 4096], n=4096, k=4096)
    both = [KERNELS["gemm"].seconds(ops, gpu("H200"), s, start()) for s in ("fastest", "scaled_mm")]
    assert (both[0] == both[1]).all()
