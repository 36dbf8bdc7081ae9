"""The stacks of CUTLASS 2's kernels pass L2, with every tile."""

import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_device
from tierlab.hwmodels.time.silicon import dispatch, stack
from tierlab.hwmodels.time.silicon.machine import machine_of
from tierlab.hwmodels.time.silicon.registry import KERNELS
from tierlab.kernels.ops.table import OpTable


def gpu(name):
    return machine_of(load_device(name, name))


def seconds(name, **shape):
    ops = OpTable.build("gemm", "fp8", "fp8", **shape)
    start = {k: p.start for k, p in KERNELS["gemm"].parameters.items()}
    return KERNELS["gemm"].seconds(ops, gpu(name), "scaled_mm", start)


@pytest.mark.parametrize("name", ["A100-80G", "L40S"])
def test_every_tile_of_the_dispatch_has_a_stack(name):
    machine = gpu(name)
    m, n = (x.ravel() for x in np.meshgrid(2.0 ** np.arange(16), 2.0 ** np.arange(5, 18)))
    moved = {tile: stack.moved_bytes(machine, tile) for tile, _ in dispatch.tiles(machine, m, n)}
    assert len(moved) == 9
    assert min(moved.values()) == 64 * 554


@pytest.mark.parametrize("name", ["H200", "B200", "RTX-PRO-6000"])
def test_kernels_of_cutlass_3_have_none(name):
    assert stack.moved_bytes(gpu(name), (128, 128)) == 0.0


def test_ampere_copies_its_parameters_once():
    assert stack.moved_bytes(gpu("A100-80G"), (64, 64)) == 128 * 554
    assert stack.moved_bytes(gpu("L40S"), (64, 64)) == 128 * 2203


def test_stacks_take_what_l2_moves_where_a_product_is_shallow():
    """1,024 tiles of 128 x 128 by 32 elements: 293 MB through L2, whatever else they do."""
    machine, p = gpu("L40S"), KERNELS["gemm"].parameters
    (taken,) = seconds("L40S", m=[4096], n=4096, k=32)
    through_l2_s = 1024 * 128 * 2233 / (p["l2_speed"].start * machine.bytes_per_s)
    assert through_l2_s < taken < 1.3 * through_l2_s


def test_few_tiles_wait_for_what_their_own_sm_moves():
    """32 x 64 and 16 x 64 are alike but for their stacks: 282 and 35 kB."""
    small, large = seconds("L40S", m=[16, 32], n=64, k=64)
    sm_bytes_per_s = KERNELS["gemm"].parameters["sm_gbs"].start * 1e9
    assert large - small > 0.9 * (128 * 2203 - 64 * 554) / sm_bytes_per_s
