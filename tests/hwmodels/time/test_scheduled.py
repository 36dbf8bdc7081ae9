"""A time model with schedules of attention over it."""

import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_system
from tierlab.hwmodels.time.registry import time_model
from tierlab.hwmodels.time.scheduled import KEYS, Scheduled, scheduled
from tierlab.hwmodels.time.schedules.registry import DECODE, PREFILL
from tierlab.hwmodels.time.schedules.rows import times_of
from tierlab.hwmodels.time.silicon.machine import machine_of
from tierlab.hwmodels.time.times import KnowsKernels, launched, middles
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.models.load import load_model
from tierlab.kernels.models.step import decode_work, dense_work, prefill_work
from tierlab.kernels.ops.table import OPS, OpTable

MODEL = "Llama-3.1-8B"
ATTENTION = [OPS.index("prefill_attention"), OPS.index("decode_attention")]
FIELDS = ("seconds", "p10", "p90", "source", "extrapolated", "bias_group")


@pytest.fixture(scope="module")
def system():
    return load_system("A100-80G", "test")


@pytest.fixture(scope="module")
def silicon(system):
    return time_model("silicon", system.gpu, system.peer_link, "test")


@pytest.fixture(scope="module")
def both(silicon, system):
    return scheduled(silicon, system.gpu, "flash2", "lean", "time")


def works():
    model = load_model(MODEL)
    return (
        prefill_work(model, 1, "bf16", [512, 64], [512, 3000]),
        decode_work(model, 1, "bf16", [1, 32], [2000.5, 700.0], [0.0, 1.0]),
        dense_work(model, "bf16", 1, [512, 33], [1, 33]),
    )


def test_attention_is_the_schedules_and_all_else_the_model_s_beneath(both, silicon, system):
    ops = OpTable.concat(work.ops for work in works())
    found, plain, machine = both.predict(ops), silicon.predict(ops), machine_of(system.gpu)
    mine = np.isin(ops.op, ATTENTION)
    assert mine.any()
    for field in FIELDS:
        mixed, own = getattr(found, field), getattr(plain, field)
        assert mixed.dtype == own.dtype
        np.testing.assert_array_equal(mixed[~mine], own[~mine])
    for op, name in zip(ATTENTION, ("flash2", "lean"), strict=True):
        rows = ops.op == op
        expected = times_of(name, ops.take(rows), machine)
        for field in FIELDS:
            np.testing.assert_array_equal(getattr(found, field)[rows], getattr(expected, field))


def test_middles_are_the_same_seconds(both):
    ops = OpTable.concat(work.ops for work in works())
    np.testing.assert_array_equal(middles(both, ops).seconds, both.predict(ops).seconds)


def test_one_alone_leaves_the_other_as_it_was(silicon, system):
    ops = OpTable.concat(work.ops for work in works())
    found = scheduled(silicon, system.gpu, None, "lean", "time").predict(ops).seconds
    plain = silicon.predict(ops).seconds
    changed = ops.op == ATTENTION[1]
    np.testing.assert_array_equal(found[~changed], plain[~changed])
    assert (found[changed] != plain[changed]).all()


def test_writes_of_keys_are_counted_once(both, silicon):
    """Measured attention includes them: that of the model beneath, and that which the rates of
    decodes' schedules are fitted to. A prompt's schedule does not."""
    prefill, decode, dense = works()
    small = OPS.index("elementwise")
    for work, schedule_writes in ((prefill, False), (decode, True)):
        kept, measured = launched(both, work), launched(silicon, work)
        writes = int((work.ops.op == small).sum())
        assert writes > 0
        assert (measured.ops.op == small).sum() == 0
        assert (kept.ops.op == small).sum() == (0 if schedule_writes else writes)
        moved = kept.per_step(kept.ops["bytes"], 2)
        expected = (measured if schedule_writes else work).per_step
        np.testing.assert_array_equal(
            moved, expected((measured if schedule_writes else work).ops["bytes"], 2)
        )
    assert len(launched(both, dense).ops) == len(launched(silicon, dense).ops)


def test_states_of_a_hybrid_s_other_layers_are_no_writes_of_keys(silicon, system):
    decodes = scheduled(silicon, system.gpu, None, "lean", "time")
    work = decode_work(load_model("Bamba-9B"), 1, "bf16", [4], [2000.0], [0.0])
    kept, measured = launched(decodes, work), launched(silicon, work)
    assert sorted(kept.ops.op) == sorted(measured.ops.op)
    assert (kept.ops.op == OPS.index("elementwise")).any()


def test_what_is_no_schedule_s_is_launched_as_before(silicon, system):
    decodes = scheduled(silicon, system.gpu, None, "lean", "time")
    prefill = works()[0]
    assert len(launched(decodes, prefill).ops) == len(launched(silicon, prefill).ops)


def test_decodes_beside_a_chunk_are_launched_apart(silicon, both, system):
    one = (
        prefill_work(load_model(MODEL), 1, "bf16", 1, 1),
        decode_work(load_model(MODEL), 1, "bf16", 1, 1.0, 0.0),
    )
    keys = np.array([1.0, 100.0])
    assert isinstance(both, KnowsKernels)
    assert silicon.shared(*one, keys, "mid") is not None
    assert both.shared(*one, keys, "mid") is None
    for names in (("flash2", None), (None, "lean")):
        assert scheduled(silicon, system.gpu, *names, "time").shared(*one, keys, "mid") is None


def test_rows_without_work_are_the_model_s_beneath(both, silicon):
    void = OpTable.build(
        "decode_attention", "bf16", "bf16", batch=[0, 4], q_len=1, kv_len=[9, 0], heads=8,
        kv_heads=8, head_dim=128,
    )  # fmt: skip
    np.testing.assert_array_equal(both.predict(void).seconds, silicon.predict(void).seconds)


def test_it_says_what_attention_is_by(both, silicon):
    expected = "; prefill attention by schedule flash2, decode attention by schedule lean"
    assert both.name == silicon.name + expected


def test_none_is_the_model_itself(silicon, system):
    for nothing in ((None, None), ("none", None), ("None", "none")):
        assert scheduled(silicon, system.gpu, *nothing, "time") is silicon


def test_the_same_is_made_once(silicon, system):
    """Runs of a sweep share their tables by the time model's identity."""
    made = [scheduled(silicon, system.gpu, None, n, "time") for n in ("lean", "LEAN", "unsplit")]
    assert made[0] is made[1]
    assert made[0] is not made[2]


def test_it_stands_over_any_time_model(system):
    roofline = time_model("roofline", system.gpu, system.peer_link, "test")
    made = scheduled(roofline, system.gpu, None, "lean", "time")
    assert isinstance(made, Scheduled)
    decode = works()[1]
    assert len(launched(made, decode).ops) == len(decode.ops) // 2
    assert np.isfinite(made.predict(decode.ops).seconds).all()


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ((None, "leen"), "time.decode_schedule: unknown schedule of decode_attention 'leen'"),
        ((None, "leen"), "accepted: did you mean lean?"),
        (("lean", None), "time.prefill_schedule: unknown schedule of prefill_attention 'lean'"),
        (("fusemax", None), "time.prefill_schedule: unknown schedule"),
    ],
)  # fmt: skip
def test_an_unknown_schedule_is_refused(names, says, silicon, system):
    with pytest.raises(BadInput) as caught:
        scheduled(silicon, system.gpu, *names, "time")
    assert says in caught.value.line()


def test_a_row_that_cannot_be_said_is_refused_with_the_key(both):
    four_bits = decode_work(load_model(MODEL), 1, "int4", 1, 1000.0, 0.0)
    for ask in (both.predict, both.middles, both.check):
        with pytest.raises(BadInput, match=r"lean") as caught:
            ask(four_bits.ops)
        assert caught.value.line() == (
            "time.decode_schedule: schedule 'lean' knows no such cache; accepted: kv_dtype bf16, "
            "fp16, fp8, or no schedule"
        )


def test_a_scenario_s_schedules_are_those_of_the_gpu():
    assert {op: set(names) for op, names in KEYS.items()} == {
        "prefill_attention": set(PREFILL),
        "decode_attention": set(DECODE),
    }
