"""What a schedule says of a row, and what it refuses."""

import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_device
from tierlab.hwmodels.time.schedules.bands import AT_HOME, ELSEWHERE, stated, widest
from tierlab.hwmodels.time.schedules.registry import DECODE, PREFILL, SCHEDULES, SPATIAL
from tierlab.hwmodels.time.schedules.rows import problem_of, refusal, times_of
from tierlab.hwmodels.time.schedules.tiled import over_sms, unevenness, visited
from tierlab.hwmodels.time.silicon.machine import machine_of
from tierlab.hwmodels.time.times import DATASHEET, SCHEDULE, origins
from tierlab.kernels.ops import attention
from tierlab.kernels.ops.table import OpTable

HEADS = {"heads": 8, "kv_heads": 8, "head_dim": 128}


@pytest.fixture(scope="module")
def a100():
    return machine_of(load_device("A100-80G", "test"))


@pytest.fixture(scope="module")
def h100():
    return machine_of(load_device("H100", "test"))


def decode(kv_dtype="bf16", **columns):
    base = {"batch": 1, "q_len": 1, "kv_len": 32768, **HEADS}
    return OpTable.build("decode_attention", "bf16", kv_dtype, **base | columns)


def prefill(kv_dtype="bf16", **columns):
    base = {"batch": 1, "q_len": 2048, "kv_len": 8192, **HEADS}
    return OpTable.build("prefill_attention", "bf16", kv_dtype, **base | columns)


def seconds(name, ops, machine):
    assert refusal(name, ops, machine) is None
    return times_of(name, ops, machine).seconds


def test_lean_gains_eight_times_over_no_split(a100):
    """8 heads without groups at 32K on an A100, where 8 of 108 SMs work without splits."""
    unsplit, lean = (seconds(n, decode(), a100)[0] for n in ("unsplit", "lean"))
    assert unsplit / lean == pytest.approx(8.41, abs=0.01)


@pytest.mark.parametrize("name", sorted(DECODE))
def test_narrow_keys_are_half_the_bytes(name, a100):
    wide, narrow = (seconds(name, decode(t, batch=64), a100)[0] for t in ("bf16", "fp8"))
    assert 0.45 < narrow / wide < 0.6


@pytest.mark.parametrize("name", sorted(DECODE))
def test_a_window_is_a_shorter_context(name, a100):
    windowed = seconds(name, decode(batch=40, window=4096), a100)
    np.testing.assert_allclose(windowed, seconds(name, decode(batch=40, kv_len=4096), a100))
    np.testing.assert_array_equal(
        seconds(name, decode(window=40000), a100), seconds(name, decode(), a100)
    )


def test_one_cta_a_tile_waits_for_the_longest_sequence_and_equal_parts_do_not(a100):
    even = decode(batch=4, kv_len=20000.0)
    ragged = decode(batch=4, kv_len=20000.0, kv_len_spread=1.0)
    longest = decode(batch=4, kv_len=40000.0)
    assert seconds("unsplit", ragged, a100) == seconds("unsplit", longest, a100)
    assert seconds("lean", ragged, a100) == seconds("lean", even, a100)
    split = [seconds("flash_decoding", ops, a100)[0] for ops in (even, ragged, longest)]
    assert split[0] < split[1] <= split[2]


def test_grouped_heads_share_their_keys(a100):
    for name in DECODE:
        alone, shared = decode(batch=32), decode(batch=32, heads=64)
        assert seconds(name, shared, a100)[0] < 1.2 * seconds(name, alone, a100)[0]


def test_a_chunk_takes_the_pairs_that_the_mask_leaves(h100):
    ops = prefill(q_len=np.array([512, 2048, 8192]), kv_len=32768, window=[0, 5000, 0])
    share = visited(problem_of(ops), 128.0, 64.0)
    exact = attention.visible_pairs(ops) / (ops["q_len"] * ops["kv_len"])
    np.testing.assert_allclose(share, exact, atol=0.006)
    assert (share >= exact).all()


def test_tiles_of_a_chunk_over_many_keys_are_nearly_equal():
    whole, chunk, windowed = (
        unevenness(problem_of(prefill(**c)), 128.0, 64.0)[0]
        for c in (
            {"q_len": 8192},
            {"q_len": 512, "kv_len": 65536},
            {"q_len": 8192, "window": 500},
        )
    )
    assert whole == pytest.approx(2.0, abs=0.03)
    assert chunk == pytest.approx(1.0, abs=0.01)
    assert windowed < 1.2


def test_sms_wait_for_whole_waves_of_equal_tiles_and_for_the_longest_of_unequal_ones():
    np.testing.assert_allclose(over_sms(np.array([54.0, 108.0, 162.0]), 108.0), [2.0, 1.0, 4 / 3])
    uneven = over_sms(np.array([54.0, 108.0, 135.0, 216.0]), 108.0, 2.0)
    np.testing.assert_allclose(uneven, [4.0, 2.0, 1.6, 1.25])


def test_each_of_several_refusals_names_its_first_row(a100):
    ops = decode(kv_len=[100.0, 200.0, 300.0], heads=[8, 12, 13])
    assert refusal("lean", ops, a100).row == 1


REFUSED = {
    "another operation": ("lean", prefill(), "answers decode_attention"),
    "another operation too": ("flash2", decode(), "answers prefill_attention"),
    "decode on an array": ("fusemax", decode(), "answers prefill_attention"),
    "MLA decode": ("lean", decode(latent_rank=512, head_dim=576), "knows no MLA"),
    "MLA prefill": ("flash2", prefill(v_head_dim=64), "knows no MLA"),
    "four bits": ("lean", decode("int4"), "knows no such cache"),
    "eight bits": ("flash1", prefill("fp8"), "knows no such cache"),
    "window": ("flash1", prefill(window=100), "knows no window"),
    "window on an array": ("fusemax", prefill(window=100), "knows no window"),
    "another GPU": ("flash3", prefill(), "does not exist on A100-80G"),
    "many queries": ("lean", decode(q_len=2), "takes one query a sequence"),
    "unlike prompts": ("flash2", prefill(kv_len_spread=0.5), "takes prompts of one length"),
    "spilled scores": ("flat", prefill(kv_len=65537), "would spill its scores"),
    "no sequences": ("lean", decode(batch=0), "has nothing to compute"),
    "wide numbers": (
        "lean",
        OpTable.build("decode_attention", "fp32", "bf16", batch=1, q_len=1, kv_len=9, **HEADS),
        "computes in 16 bits",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_formula_cannot_say_is_refused(case, a100):
    name, ops, expected = REFUSED[case]
    found = refusal(name, ops, a100)
    assert found is not None
    assert f"schedule {name!r} {expected}" in found.what
    assert found.accepted


def test_a_window_that_holds_all_keys_is_none(a100):
    assert refusal("flash1", prefill(window=8192), a100) is None


def test_times_are_the_datasheet_s_and_told_as_a_schedule_s(a100):
    times = times_of("lean", decode(), a100)
    assert (times.source == DATASHEET).all()
    assert origins(times, times.seconds)[SCHEDULE] == 1.0


def test_what_was_measured_nowhere_has_the_widest_band_and_says_so(a100, h100):
    for name in ("lean", "unsplit", "flash_decoding"):
        times = times_of(name, decode(), a100)
        low, high = stated(name, True, 2) or widest(name, 2)
        assert times.extrapolated[0] == (name == "lean")
        np.testing.assert_allclose(times.p90 / times.seconds, max(high, 1.0))
        np.testing.assert_allclose(times.p10 / times.seconds, low)
    low, high = widest("lean", 2)
    everything = [f for known in (AT_HOME, ELSEWHERE) for n in ("unsplit", "flash_decoding")
                  for f in [known[n][2]]]  # fmt: skip
    assert (low, high) == (min(f[0] for f in everything), max(f[1] for f in everything))
    assert times_of("unsplit", decode(heads=16), a100).extrapolated[0]
    assert times_of("flash_decoding", decode(window=2000), a100).extrapolated[0]
    assert times_of("materialised", prefill(), h100).extrapolated[0]
    assert not times_of("materialised", prefill(), a100).extrapolated[0]


def test_every_band_is_of_a_schedule_on_a_gpu():
    for table in (AT_HOME, ELSEWHERE):
        for name, bands in table.items():
            assert name in SCHEDULES
            assert name not in SPATIAL
            assert all(0 < low <= high for low, high in filter(None, bands))
    assert set(ELSEWHERE) | set(AT_HOME) == set(PREFILL | DECODE) - {"lean"}
