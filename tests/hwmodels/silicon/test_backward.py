"""The gradient of prefill attention: its steps counted one by one, its limits, its constants."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_device
from tierlab.hwmodels.time.silicon import backward
from tierlab.hwmodels.time.silicon.backward import BACKWARD, OP, Tiles
from tierlab.hwmodels.time.silicon.fit import Options, fit
from tierlab.hwmodels.time.silicon.machine import machine_of
from tierlab.hwmodels.time.silicon.make import DATASHEET_FILE, silicon
from tierlab.hwmodels.time.silicon.measured import KernelKey, Measured
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.ops.table import OpTable

ENGINES = {
    "H200": "fa3", "H100": "fa3", "B200": "fa4", "A100-80G": "fa2", "L40S": "fa2",
    "RTX-4090": "fa2", "RTX-PRO-6000": "fa2",
}  # fmt: skip
PUBLISHED = Path(__file__).parents[3] / "benchmarks" / "published_backward.csv"
LLAMA = {"batch": 2.0, "heads": 64.0, "kv_heads": 8.0, "head_dim": 128.0}


def calls(**columns):
    """Return a table of backward calls: Llama's heads unless said."""
    shape = LLAMA | {"q_len": 4096.0} | columns
    return OpTable.build(OP, "bf16", "bf16", **{"kv_len": shape["q_len"]} | shape)


@pytest.fixture(scope="module", params=sorted(ENGINES))
def gpu(request):
    """Return a model of the datasheet's constants, and the machine."""
    device = load_device(request.param, "test")
    return silicon(Path("datasheet"), device, None, "x"), machine_of(device)


def count(queries, past, window, rows, keys):
    """Return the pairs of blocks in which a query sees a key, one by one."""
    found = 0
    for i in range(-(-queries // rows)):
        first, last = past + i * rows, past + min((i + 1) * rows, queries) - 1
        for j in range(-(-(queries + past) // keys)):
            behind = window > 0 and min((j + 1) * keys, queries + past) - 1 <= first - window
            found += j * keys <= last and not behind
    return found


@pytest.mark.parametrize("rows", [64, 128])
@pytest.mark.parametrize("keys", [32, 80, 96, 128, 256])
def test_steps_are_the_blocks_that_see_each_other(rows, keys):
    rng = np.random.default_rng(rows + keys)
    shapes = [(int(rng.integers(1, 2500)), int(rng.integers(0, 2) * rng.integers(1, 4000)),
               int(rng.integers(0, 2) * rng.integers(1, 3000))) for _ in range(12)]  # fmt: skip
    queries, past, window = np.array(shapes, float).T
    ops = calls(batch=1, heads=1, kv_heads=1, q_len=queries, kv_len=queries + past, window=window)
    ones = np.ones(len(ops))
    made = backward.cut(ops, Tiles(rows * ones, keys * ones, ones, 0.0 * ones), full=False)
    assert made.steps.tolist() == [count(*shape, rows, keys) for shape in shapes]
    assert (made.longest * made.units >= made.steps).all()


def test_without_a_mask_every_block_sees_every_other():
    ops = calls(batch=3, heads=4, kv_heads=4, q_len=1000.0, kv_len=1000.0)
    made = backward.cut(ops, Tiles(*np.array([[64.0], [128.0], [1.0], [0.0]])), full=True)
    assert [made.units[0], made.longest[0], made.steps[0]] == [12 * 8, 16, 12 * 8 * 16]


def test_a_gpu_is_answered_by_its_own_kernel(gpu):
    model, machine = gpu
    _, member = model.explain(calls())
    assert model.kernels()[member[0]] == f"flash-attention several pooled {ENGINES[machine.name]}"
    _, windowed = model.explain(calls(window=512.0))
    assert model.kernels()[windowed[0]] == model.kernels()[member[0]]


@pytest.mark.parametrize("dim", [64.0, 128.0, 192.0, 256.0])
@pytest.mark.parametrize("kv_heads", [8.0, 64.0])
def test_more_work_takes_longer(gpu, dim, kv_heads):
    model, _ = gpu
    own = {"head_dim": dim, "kv_heads": kv_heads}
    lengths = 2.0 ** np.arange(7, 16)
    for longer in (
        calls(**own, q_len=lengths),
        calls(**own, q_len=1024.0, kv_len=1024.0 + np.arange(0, 60000, 1500)),
        calls(**own, batch=np.arange(1.0, 40.0), q_len=1024.0),
        calls(**own, q_len=8192.0, window=2.0 ** np.arange(6, 14)),
    ):
        assert (np.diff(model.predict(longer).seconds) > -1e-12).all()


def test_windows_and_masks_save_time(gpu):
    model, _ = gpu
    bound, free = model.predict(calls(q_len=16384.0, window=np.array([512.0, 0.0]))).seconds
    assert bound < 0.5 * free
    whole = model.predict(calls(q_len=4096.0, window=np.array([4096.0, 0.0]))).seconds
    assert whole[0] == whole[1]


def test_gradients_of_grouped_heads_cost_passes_of_their_own(gpu):
    _, machine = gpu
    schedule = ENGINES[machine.name]
    p = {name: one.start for name, one in BACKWARD.of(schedule).items()}
    both = calls(kv_heads=np.array([8.0, 64.0]))
    slow, quick = (
        backward.seconds(both, machine, schedule, p | {"pass_us": us}) for us in (13.0, 3.0)
    )
    passes = [4.0, 2.0] if schedule == "fa2" else [6.0, 2.0]
    assert (slow - quick) * 1e5 == pytest.approx(passes)


@pytest.mark.parametrize("dim", [64.0, 128.0, 192.0, 256.0])
def test_no_call_beats_the_peak_or_the_memory(gpu, dim):
    model, machine = gpu
    lengths, past, batch = np.meshgrid(2.0 ** np.arange(0, 15, 2), [0.0, 8192.0, 65536.0], [1, 16])
    queries, keys = lengths.ravel(), (lengths + past).ravel()
    ops = calls(batch=batch.ravel(), q_len=queries, kv_len=keys, head_dim=dim)
    seconds = model.predict(ops).seconds
    pairs = batch.ravel() * queries * (keys - (queries - 1.0) / 2.0)
    moved = 2.0 * batch.ravel() * dim * (4.0 * queries * 64.0 + 4.0 * keys * 8.0)
    beyond_l2 = np.maximum(moved - machine.l2_bytes, 0.0)
    assert (10.0 * pairs * 64.0 * dim / machine.peak("bf16") < seconds).all()
    assert (beyond_l2 / machine.bytes_per_s < seconds).all()


def test_newer_instructions_are_not_those_of_ampere():
    machine = machine_of(load_device("B200", "test"))
    p = {name: one.start for name, one in BACKWARD.of("fa2").items()}
    faster = replace(machine, flop_per_s={k: 2.0 * v for k, v in machine.flop_per_s.items()})
    own, twice = (backward.seconds(calls(), m, "fa2", p)[0] for m in (machine, faster))
    assert twice == pytest.approx(own, rel=0.05)


def test_a_file_holds_what_was_fitted(gpu):
    model, machine = gpu
    schedule = ENGINES[machine.name]
    one = next(k for k in model._calibration.kernels if k.schedule == schedule)
    own = {name: one.parameters[name] for name in BACKWARD.of(schedule)}
    ops = calls(head_dim=np.array([64.0, 128.0, 192.0, 256.0]))
    direct = backward.seconds(ops, machine, schedule, own)
    np.testing.assert_array_equal(model.predict(ops).seconds, direct)


def test_wide_heads_crowd_the_registers_of_blackwell_without_data_centre_sms():
    p = {name: one.start for name, one in BACKWARD.of("fa2").items()}
    ops = calls(head_dim=np.array([128.0, 192.0]), q_len=32768.0)
    for name, longer in {"RTX-PRO-6000": 1.5, "RTX-4090": 1.0, "A100-80G": 1.0}.items():
        machine = machine_of(load_device(name, "test"))
        one, more = (backward.seconds(ops, machine, "fa2", p | {"crowded": c}) for c in (1.0, 2.0))
        assert one[0] == more[0]
        assert (more[1] > longer * one[1]) == (longer > 1.0)


@pytest.mark.parametrize(
    ("table", "rows", "limit"),
    [("published_backward.csv", 37, 0.05), ("published_backward_held.csv", 10, 0.1)],
)
def test_published_times_of_catalogued_gpus_lie_near(table, rows, limit):
    errors = []
    with PUBLISHED.with_name(table).open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            fastest = {"flash3": "H200", "flash4": "B200", "flash2": "RTX-PRO-6000"}[row["kernel"]]
            if row["gpu"] != fastest or row["causal"] == "0":
                continue
            names = ("batch", "heads", "kv_heads", "q_len", "kv_len", "head_dim", "v_head_dim")
            ops = calls(**{n: float(row[n]) for n in (*names, "window")})
            model = silicon(Path("datasheet"), load_device(fastest, "test"), None, "x")
            errors.append(model.predict(ops).seconds[0] / (float(row["ms"]) * 1e-3) - 1.0)
    assert len(errors) == rows
    assert np.quantile(np.abs(errors), 0.9) < 2.0 * limit
    assert np.median(np.abs(errors)) < limit


def made(machine, schedule, rows=120, **changed):
    """Return times of the formula with constants that are not where a fit starts."""
    rng = np.random.default_rng(1)
    queries = 2.0 ** rng.integers(8, 15, rows)
    ops = calls(
        batch=2.0 ** rng.integers(0, 5, rows), q_len=queries,
        kv_len=queries + 1024.0 * rng.integers(0, 3, rows),
        head_dim=rng.choice([64.0, 128.0], rows), kv_heads=rng.choice([8.0, 64.0], rows),
    )  # fmt: skip
    p = {name: one.start for name, one in BACKWARD.of(schedule).items()} | changed
    key = KernelKey(OP, "bf16", "bf16", "torch", "2", "mine")
    return Measured(key, "made", ops, backward.seconds(ops, machine, schedule, p))


@pytest.mark.parametrize("schedule", ["fa2", "fa3"])
def test_a_fit_finds_the_schedule_and_the_times(schedule):
    machine = machine_of(load_device("H200", "test"))
    measured = made(machine, schedule, launch_us=20.0, vector=0.3, hbm_eff=0.7, peak=0.6)
    one = fit(measured, machine, Options(trees=False))
    assert one.schedule == schedule
    assert np.median(np.abs(one.seconds(measured.ops, machine)[0] / measured.seconds - 1)) < 0.01


def test_a_handful_of_times_is_refused():
    machine = machine_of(load_device("H200", "test"))
    with pytest.raises(BadInput, match="only 12 measurements"):
        fit(made(machine, "fa3", rows=12), machine)


def test_the_datasheets_file_has_one_set_a_schedule():
    text = DATASHEET_FILE.read_text(encoding="utf-8")
    assert [text.count(f'"kernel":"pooled {name}"') for name in backward.SCHEDULES] == [1, 1, 1]
