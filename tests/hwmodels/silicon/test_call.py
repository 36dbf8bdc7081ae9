"""Prefill calls whose tiles are known: blocks against counting them one by one, chunks, storing."""

from collections.abc import Iterator

import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_device
from tierlab.hwmodels.time.silicon import blackwell, call, chunked, hopper
from tierlab.hwmodels.time.silicon.fit import fit_parameters, minimise
from tierlab.hwmodels.time.silicon.machine import Machine, machine_of
from tierlab.hwmodels.time.silicon.measured import KernelKey, Measured
from tierlab.hwmodels.time.silicon.prefill import PREFILL
from tierlab.kernels.ops.table import OpTable


def prefill(kv_dtype: str = "bf16", **columns: object) -> OpTable:
    shape = {"batch": 1, "heads": 1, "kv_heads": 1, "head_dim": 128} | columns
    return OpTable.build("prefill_attention", "bf16", kv_dtype, **shape)


def gpu(name: str) -> Machine:
    return machine_of(load_device(name, "test"))


def starts(schedule: str, **changed: float) -> dict[str, float]:
    return {n: p.start for n, p in PREFILL.of(schedule).items()} | changed


def ends(queries: int, keys: int, window: int, group: int, rows: int) -> Iterator[tuple[int, int]]:
    """Yield the first and the last key of each tile, the last not included."""
    for tile in range(-(-queries * group // rows)):
        first, last = tile * rows // group, ((tile + 1) * rows - 1) // group + 1
        past = keys - queries
        yield max(first + past - window + 1, 0) if window else 0, min(last, queries) + past


@pytest.mark.parametrize("window", [0, 128, 1024])
@pytest.mark.parametrize("group", [1, 4, 16, 64])
@pytest.mark.parametrize(("queries", "keys"), [(256, 256), (4096, 4096), (2048, 6144)])
def test_hopper_counts_a_windows_blocks_from_where_it_begins(queries, keys, group, window):
    ops = prefill(q_len=queries, kv_len=keys, heads=group, window=window)
    cut, (rows, wide) = hopper.grid(ops, 132.0), hopper.tile(ops)
    tiles = list(ends(queries, keys, window, group, int(rows[0])))
    blocks = [-(-(last - first) // int(wide[0])) for first, last in tiles]
    assert cut.tiles.tolist() == [len(tiles)]
    assert cut.total.tolist() == pytest.approx([sum(blocks)], rel=0.02)
    assert cut.longest[0] * cut.splits[0] >= max(blocks)


def test_packing_sixteen_heads_saves_blocks_behind_a_window():
    """128 keys and 8 queries fit one block of 192, 128 queries take two; the public times agree."""
    ops = prefill("fp8", q_len=16384, kv_len=16384, heads=16, kv_heads=[1, 16], window=128)
    cut = hopper.grid(ops, 132.0)
    np.testing.assert_allclose(cut.total / cut.tiles, [1.0, 2.0], rtol=0.01)


@pytest.mark.parametrize(("queries", "dim", "alone"), [(64, 128, 1), (65, 128, 0), (64, 192, 0)])
def test_up_to_64_rows_take_one_warp_group(queries, dim, alone):
    ops = prefill(q_len=queries, kv_len=queries, head_dim=dim)
    assert hopper.one_group(ops).tolist() == [bool(alone)]
    assert hopper.tile(ops)[0].tolist() == [64.0 if alone else 128.0]


@pytest.mark.parametrize("window", [0, 128, 1024])
@pytest.mark.parametrize(("queries", "keys"), [(16, 16), (256, 256), (4096, 4096), (2048, 6144)])
@pytest.mark.parametrize(("dim", "rows"), [(64, 256), (128, 256), (256, 128)])
def test_blackwells_blocks_start_at_whole_ones(queries, keys, window, dim, rows):
    ops = prefill(q_len=queries, kv_len=keys, window=window, head_dim=dim, batch=3)
    cut = blackwell.grid(ops)
    tiles = list(ends(queries, keys, window, 1, rows))
    blocks = [-(-last // 128) - first // 128 for first, last in tiles]
    assert cut.tiles.tolist() == [3 * len(tiles)]
    assert cut.total.tolist() == [3 * sum(blocks)]
    assert cut.longest.tolist() == [max(blocks)]


def test_narrow_heads_take_more_rounds_to_store():
    """512 threads are 16 warps; 64 heads 64 wide are four a warp, 8 heads 256 wide half of one."""
    ops = prefill(q_len=64, kv_len=64, heads=64, kv_heads=[64, 8], head_dim=[64, 256])
    assert blackwell.rounds(ops).tolist() == [5.0, 0.25]


def test_a_longer_prompt_that_is_not_cut_takes_less_time():
    """L40S, public: 16 heads of one KV head behind 128 keys, 1,024 tokens 59 us, 1,536 30 us."""
    l40s = gpu("L40S")
    ops = prefill("fp8", q_len=[1024, 1536], kv_len=[1024, 1536], heads=16, window=128)
    assert chunked.chunks(ops, l40s.sms, chunked.tile(ops)[0]).tolist() == [2, 1]
    taken = PREFILL.seconds(ops, l40s, chunked.NAME, starts(chunked.NAME))
    assert taken[0] > 1.3 * taken[1]


@pytest.mark.parametrize("schedule", call.SCHEDULES)
def test_more_queries_take_longer_behind_a_window(schedule, machine):
    ops = prefill(
        q_len=2.0 ** np.arange(9, 15), kv_len=2.0 ** np.arange(9, 15), window=128, batch=64
    )
    assert (np.diff(PREFILL.seconds(ops, machine, schedule, starts(schedule))) > 0).all()


@pytest.mark.parametrize("schedule", call.SCHEDULES)
def test_a_call_is_tried_by_its_kernels_name_alone(schedule, machine):
    """A fit of that schedule's times finds it, and its parameters leave out the others' own."""
    sizes = np.array([(b, q) for b in (1, 8, 64) for q in (64, 256, 1024, 4096)]).T
    columns = {"heads": 8, "kv_heads": 2, "window": 128}
    ops = prefill(batch=sizes[0], q_len=sizes[1], kv_len=sizes[1], **columns)
    taken = PREFILL.seconds(ops, machine, schedule, starts(schedule, tile128=6000.0, launch_us=5.0))
    for name, found in ((f"vllm{call.MARKS[schedule]}", schedule), ("another", None)):
        key = KernelKey("prefill_attention", "bf16", "bf16", "test", "1", name)
        best, values = fit_parameters(
            PREFILL, [(Measured(key, "synthetic", ops, taken), machine)], 0
        )
        assert (best == schedule) is (found == schedule)
        assert set(values) == set(PREFILL.of(best))


def test_other_schedules_keep_their_parameters(machine):
    ops = prefill(q_len=[512, 1024], kv_len=[512, 1024])
    key = KernelKey("prefill_attention", "bf16", "bf16", "test", "1", "synthetic")
    data = Measured(key, "synthetic", ops, np.array([2e-5, 4e-5]))
    values, _, _ = minimise(PREFILL, [(data, machine)], "packed", 3)
    own = {n for n, p in PREFILL.parameters.items() if p.only}
    assert own
    assert own.isdisjoint(values)
