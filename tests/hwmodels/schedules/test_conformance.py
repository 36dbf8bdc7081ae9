"""What every schedule of the registry must do, whatever it stands for."""

import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_device
from tierlab.hwmodels.time.schedules.registry import DECODE, SCHEDULES, SPATIAL, op_of
from tierlab.hwmodels.time.schedules.rows import problem_of, refusal, times_of
from tierlab.hwmodels.time.silicon.machine import machine_of
from tierlab.kernels.ops.table import OpTable

NAMES = sorted(SCHEDULES)
ON_GPU = sorted(set(SCHEDULES) - set(SPATIAL))
COLUMNS = ("seconds", "p10", "p90", "source", "extrapolated", "bias_group")


GPUS = ("A100-80G", "H100", "B200", "L40S")


def on_each(names):
    """Return a mark that pairs schedules with the GPUs that they exist on."""
    pairs = [(n, gpu) for n in names for gpu in GPUS if not SCHEDULES[n].made or gpu == "H100"]
    return pytest.mark.parametrize(("name", "machine"), pairs, indirect=["machine"])


@pytest.fixture
def machine(request):
    return machine_of(load_device(request.param, "test"))


@pytest.fixture(scope="module")
def hopper():
    return machine_of(load_device("H100", "test"))


def said(name, ops, machine):
    """Return the times of rows that a schedule can say."""
    assert refusal(name, ops, machine) is None
    return times_of(name, ops, machine)


def mixed(name, n=300):
    """Return random calls that a schedule can say."""
    rng = np.random.default_rng(7)
    decode, one = name in DECODE, SCHEDULES[name]
    kv_heads = 2.0 ** rng.integers(0, 5, n)
    keys = np.floor(2.0 ** rng.uniform(0, 15.9, n))
    queries = np.ones(n) if decode else np.ceil(keys * rng.uniform(0.01, 1.0, n))
    return OpTable.build(
        op_of(name),
        "bf16",
        "fp8" if one.narrow else "bf16",
        batch=rng.integers(1, 300, n),
        q_len=queries,
        kv_len=keys,
        kv_len_spread=rng.uniform(0, 3, n) * decode,
        heads=kv_heads * 2.0 ** rng.integers(0, 5, n),
        kv_heads=kv_heads,
        head_dim=rng.choice([64, 80, 128, 256], n),
        window=rng.choice([0, 1, 900, 4096], n) * one.windows,
    )


@on_each(NAMES)
def test_times_are_finite_and_lie_in_their_bands(name, machine):
    times = said(name, mixed(name), machine)
    for column in (times.seconds, times.p10, times.p90):
        assert np.isfinite(column).all()
        assert (column > 0).all()
    assert ((times.p10 <= times.seconds) & (times.seconds <= times.p90)).all()
    assert (times.p10 < times.p90).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_row_alone_gets_the_answer_that_it_gets_in_company(name, hopper):
    ops = mixed(name, 40)
    whole = said(name, ops, hopper)
    for row in range(len(ops)):
        one = times_of(name, ops.take(np.array([row])), hopper)
        for column in COLUMNS:
            assert getattr(one, column)[0] == getattr(whole, column)[row], (row, column)


@pytest.mark.parametrize("name", NAMES)
def test_rows_beyond_one_piece_are_answered_too(name, hopper):
    ops = mixed(name, 40)
    many = OpTable.concat([ops] * 500)
    found = said(name, many, hopper)
    for column in COLUMNS:
        np.testing.assert_array_equal(
            getattr(found, column), np.tile(getattr(times_of(name, ops, hopper), column), 500)
        )


@on_each(ON_GPU)
def test_nothing_beats_the_memory_and_the_peak(name, machine):
    ops = mixed(name)
    times = said(name, ops, machine)
    cost = SCHEDULES[name].cost(problem_of(ops), machine)
    assert (times.seconds >= cost.hbm_bytes / machine.bytes_per_s).all()
    assert (times.seconds >= cost.flops / machine.peak("fp16")).all()
    beyond_l2 = np.maximum(cost.hbm_bytes - machine.l2_bytes, 0.0)
    assert (times.p10 >= np.minimum(times.seconds, beyond_l2 / machine.bytes_per_s)).all()


def shapes():
    rng = np.random.default_rng(3)
    for _ in range(12):
        kv_heads, group = 2 ** rng.integers(0, 5, 2)
        yield {
            "batch": int(rng.choice([1, 3, 16, 200])),
            "heads": int(kv_heads * group),
            "kv_heads": int(kv_heads),
            "head_dim": int(rng.choice([64, 128, 256])),
        }


KEYS = np.unique(np.append(np.arange(1, 1500, 13), np.geomspace(1500, 60000, 150).astype(int)))


@on_each(NAMES)
def test_more_keys_never_take_less(name, machine):
    for shape in shapes():
        queries = 1 if name in DECODE else 100
        keys = {"q_len": queries, "kv_len": queries - 1 + KEYS}
        seconds = said(name, OpTable.build(op_of(name), "bf16", **keys, **shape), machine).seconds
        assert (np.diff(seconds) >= -1e-12 * seconds[1:]).all(), shape


@on_each(sorted(set(NAMES) - set(DECODE)))
def test_more_queries_never_take_less(name, machine):
    for shape in shapes():
        ops = OpTable.build("prefill_attention", "bf16", q_len=KEYS, kv_len=KEYS, **shape)
        seconds = said(name, ops, machine).seconds
        assert (np.diff(seconds) >= -1e-12 * seconds[1:]).all(), shape


@on_each(sorted(DECODE))
def test_unlike_lengths_never_take_less_than_even_ones(name, machine):
    for shape in shapes():
        spread = {"kv_len": 5000, "kv_len_spread": np.linspace(0.0, 8.0, 60), "q_len": 1}
        seconds = said(name, OpTable.build(op_of(name), "bf16", **spread, **shape), machine).seconds
        assert (np.diff(seconds) >= 0).all()


def test_bias_groups_are_one_each():
    machine = machine_of(load_device("H100", "test"))
    groups = [times_of(n, mixed(n, 3), machine).bias_group[0] for n in NAMES]
    assert len(set(groups)) == len(NAMES)
