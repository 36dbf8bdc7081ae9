"""FlashAttention 4's heads of 512 on Hopper: splits, waves, search and combining, by hand."""

import numpy as np
import pytest

from tierlab.hwmodels.time.silicon import flash4
from tierlab.kernels.ops.table import OpTable

START = {name: p.start for name, p in flash4.PARAMETERS.items()}


def table(op: str, **columns: object) -> OpTable:
    heads = {"heads": 1, "kv_heads": 1, "head_dim": 512}
    return OpTable.build(op, "bf16", "bf16", **(heads | columns))


def decodes(**columns: object) -> OpTable:
    return table("decode_attention", q_len=1, **columns)


def chunks(q_len: object, **columns: object) -> OpTable:
    return table("prefill_attention", **({"batch": 1, "q_len": q_len, "kv_len": q_len} | columns))


def seconds(ops: OpTable, machine, **changed: float) -> np.ndarray:
    return flash4.seconds(ops, machine, flash4.SCHEDULE, START | changed)


def test_decodes_split_32_ways_whatever_a_graph_may_hold(machine):
    ops = decodes(batch=[1, 512, 513], kv_len=8)
    assert flash4.splits(ops, machine.sms).tolist() == [32, 32, 1]


def test_chunks_split_as_often_as_their_tiles_go_into_the_sms(machine):
    """132 SMs: 4 blocks never; then 8, 24 and 64 tiles (8, 5 and 2 ways), 96 fill the GPU."""
    ops = chunks([256, 512, 1536, 4096, 6144])
    assert flash4.splits(ops, machine.sms).tolist() == [1, 8, 5, 2, 1]


def test_packed_heads_are_rows_of_the_tiles(machine):
    ops = chunks([512, 1024], heads=8)
    assert flash4.splits(ops, machine.sms).tolist() == [2, 1]


def test_short_chunks_split_take_less_than_shorter_ones_whole(machine):
    """Public H200 times: 256 queries 21.4 us, 512 queries 19.9 us."""
    whole, split = seconds(chunks([256, 512]), machine)
    assert split < whole


def test_what_a_sequence_costs_grows_with_the_batch(machine):
    """Its CTAs look through the batch, and the combining grid holds it for each: no overheads."""
    batch = np.array([64.0, 128.0, 256.0, 512.0])
    each = seconds(decodes(batch=batch, kv_len=8), machine, launch_us=0.5) / batch
    alone = seconds(
        decodes(batch=batch, kv_len=8), machine, launch_us=0.5, search=10.0, empty_ns=1e-3
    )
    assert each[-1] > 1.4 * each[1]
    np.testing.assert_allclose(alone / batch, alone[-1] / batch[-1], rtol=0.15)


def test_empty_combining_ctas_grow_with_heads_and_the_square_of_the_batch(machine):
    """512 sequences of 8 heads: 512 x 4 CTAs for each of 512 sequences, at 1 ns each 1,049 us."""
    ops = decodes(batch=512, kv_len=8, heads=8)
    more = seconds(ops, machine, empty_ns=2.0) - seconds(ops, machine, empty_ns=1.0)
    np.testing.assert_allclose(more, 512.0 * 4.0 * 512.0 * 1e-9, rtol=1e-6)


def test_the_first_block_of_keys_costs_no_traffic(machine):
    """32 splits: up to 2,048 keys each holds one block."""
    one, two = seconds(decodes(batch=128, kv_len=[2048, 4096]), machine, miss_us=0.01)
    faster = seconds(decodes(batch=128, kv_len=[2048, 4096]), machine, hbm_eff=1.05, miss_us=0.01)
    assert faster[0] == pytest.approx(one)
    assert faster[1] < two


@pytest.mark.parametrize("model", [flash4.DECODE, flash4.PREFILL])
def test_longer_never_takes_less_where_splits_are_alike(model, machine):
    keys = 2.0 ** np.arange(13, 18)
    long = decodes(batch=4, kv_len=keys) if model is flash4.DECODE else chunks(keys)
    assert (np.diff(model.seconds(long, machine, flash4.SCHEDULE, START)) > 0).all()


def test_ragged_batches_take_as_long_as_their_longest(machine):
    even, ragged = seconds(decodes(batch=4, kv_len=8192, kv_len_spread=[0.0, 3.0]), machine)
    assert ragged > even


def test_behind_a_window_the_cache_may_be_as_long_as_it_likes(machine):
    ops = decodes(batch=4, kv_len=[8192, 131072], window=128)
    near, far = seconds(ops, machine)
    assert far == pytest.approx(near, rel=1e-9)
