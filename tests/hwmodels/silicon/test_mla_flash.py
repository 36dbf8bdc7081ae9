"""MLA's decode on Hopper: dealt out as FlashMLA deals it out."""

import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_system
from tierlab.hwmodels.time.silicon import mla_flash
from tierlab.hwmodels.time.silicon.fit import Options, fit, may_run
from tierlab.hwmodels.time.silicon.machine import machine_of
from tierlab.hwmodels.time.silicon.measured import KernelKey, Measured
from tierlab.hwmodels.time.silicon.mla import MLA_DECODE
from tierlab.kernels.ops.table import OpTable

VALUES = {n: p.start for n, p in MLA_DECODE.of(mla_flash.SCHEDULE).items()}
KEY = KernelKey("mla_decode", "bf16", "bf16", "trtllm", "1", "default")


def calls(**columns: object) -> OpTable:
    fixed = {"q_len": 1, "kv_heads": 1, "head_dim": 576, "v_head_dim": 512, "latent_rank": 512}
    return OpTable.build("decode_attention", "bf16", "bf16", **fixed, **columns)


def by_hand(lengths: list[int], parts: int) -> tuple[int, int]:
    """Return blocks and sequences of the busiest part, by going through the scheduler's steps."""
    blocks = [-(-n // 64) for n in lengths]
    payload = -(-sum(b + 5 for b in blocks) // parts) + 5
    now, at, loads = 0, 0, []
    for _ in range(parts):
        left, taken, met = payload, 0, 0
        while now < len(blocks):
            rest = blocks[now] - at
            if left >= rest + 5:
                taken, met, left = taken + rest, met + 1, left - rest - 5
                now, at = now + 1, 0
                continue
            if left > 5:
                taken, met, at = taken + left - 5, met + 1, at + left - 5
            break
        loads.append((taken, met))
    assert now == len(blocks)
    return max(loads)[0], max(met for _, met in loads)


@pytest.mark.parametrize("batch", [1, 3, 16, 64, 200, 1024])
@pytest.mark.parametrize("keys", [40, 500, 3000, 65536])
@pytest.mark.parametrize("heads", [16, 64, 128])
def test_the_busiest_part_is_the_schedulers(batch, keys, heads, machine):
    found = mla_flash.deal(calls(batch=batch, kv_len=keys, heads=heads), machine)
    blocks, met = by_hand([keys] * batch, int(machine.sms // (2 if heads > 64 else 1)))
    assert found.blocks[0] == pytest.approx(blocks, abs=1 + 0.06 * blocks)
    assert abs(found.sequences[0] - met) <= 1


@pytest.mark.parametrize("batch", [0.01, 0.5, 1.0])
def test_less_than_a_sequence_takes_some_time(batch, machine):
    ops = calls(batch=batch, kv_len=[1, 64, 4096], heads=128)
    values = VALUES | {"fm_first_us": 1.0, "fm_next_us": 9.0, "fm_power": 2.5}
    assert (mla_flash.seconds(ops, machine, values) > 0.0).all()


def test_more_heads_than_a_tile_halve_the_parts(machine):
    found = mla_flash.deal(calls(batch=8, kv_len=8192, heads=[64, 128]), machine)
    assert found.parts.tolist() == [132.0, 66.0]
    seconds = mla_flash.seconds(calls(batch=64, kv_len=65536, heads=[64, 128]), machine, VALUES)
    assert 1.4 < seconds[1] / seconds[0] < 2.1


def test_only_hopper_is_fitted_to_it(machine):
    b200 = machine_of(load_system("B200").gpu)
    grid = np.meshgrid([1, 4, 16, 64, 256], 2.0 ** np.arange(6, 17), [8, 16, 32, 64, 128])
    batch, keys, heads = (axis.ravel().astype(float) for axis in grid)
    ops = calls(batch=batch, kv_len=keys, heads=heads)
    true = mla_flash.seconds(ops, machine, VALUES | {"fm_launch_us": 7.0, "fm_block_us": 2.1})
    data = Measured(KEY, "synthetic", ops, true)
    assert not may_run(MLA_DECODE, mla_flash.SCHEDULE, [(data, b200)])
    found = fit(data, machine, Options(trees=False))
    assert found.schedule == mla_flash.SCHEDULE
    assert set(found.parameters) == set(VALUES)
    assert np.median(np.abs(found.formula_s(ops, machine) / true - 1.0)) < 0.02
