"""Schedules beside the numbers that their papers print (docs/results/attention_schedules.md)."""

from dataclasses import replace

import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_device
from tierlab.hwmodels.time.schedules.flash1 import block, hbm_bytes
from tierlab.hwmodels.time.schedules.flash_decoding import flash_decoding, splits_of
from tierlab.hwmodels.time.schedules.lean import RATES, lean
from tierlab.hwmodels.time.schedules.problem import Problem
from tierlab.hwmodels.time.schedules.registry import DECODE, PREFILL
from tierlab.hwmodels.time.schedules.spatial import flat, fusemax
from tierlab.hwmodels.time.schedules.unsplit import unsplit
from tierlab.hwmodels.time.silicon.machine import machine_of
from tierlab.kernels.base.errors import BadInput

GPT2 = Problem(64, 16, 16, 64, 1024, 1024, backward=True, mask="added", dropout=True)


@pytest.fixture(scope="module")
def a100():
    return machine_of(load_device("A100-80G", "test"))


@pytest.fixture(scope="module")
def a100_40gb(a100):
    return replace(a100, bytes_per_s=1555e9)


def test_flash_attention_moves_a_ninth(a100_40gb):
    """Figure 2: 40.3 to 4.4 GB."""
    assert PREFILL["materialised"].cost(GPT2, a100_40gb).hbm_bytes == pytest.approx(40.3e9, rel=0.1)
    assert PREFILL["flash1"].cost(GPT2, a100_40gb).hbm_bytes == pytest.approx(4.4e9, rel=0.1)


def test_flash_attention_takes_a_sixth_of_the_time(a100_40gb):
    """Figure 2: 41.7 to 7.3 ms."""
    assert PREFILL["materialised"].cost(GPT2, a100_40gb).seconds == pytest.approx(41.7e-3, rel=0.2)
    causal = replace(GPT2, causal=True)
    assert PREFILL["flash1"].cost(causal, a100_40gb).seconds == pytest.approx(7.3e-3, rel=0.2)


def test_the_first_version_of_the_paper_too(a100_40gb):
    """Key-padding mask, no dropout: 35.3 GB in 35.1 ms, 4.4 GB in 11.7 ms."""
    first = replace(GPT2, mask="filled", dropout=False)
    standard, flash = (PREFILL[s].cost(first, a100_40gb) for s in ("materialised", "flash1"))
    assert standard.hbm_bytes == pytest.approx(35.3e9, rel=0.1)
    assert standard.seconds == pytest.approx(35.1e-3, rel=0.2)
    assert flash.seconds == pytest.approx(11.7e-3, rel=0.2)


def test_traffic_falls_as_one_over_the_sram(a100):
    """Theorem 2: N^2 d^2 / M, until one block holds all keys."""
    long = replace(GPT2, batch=1, q_len=65536, kv_len=65536)
    kib = 2 ** np.arange(5, 11)
    moved = np.array([hbm_bytes(long, k * 1024) for k in kib])
    np.testing.assert_allclose(moved[:-1] / moved[1:], 2.0, rtol=0.05)
    whole = hbm_bytes(replace(GPT2, backward=False), 2**30)
    statistics = GPT2.lanes * GPT2.q_len * 8
    assert whole == 4 * GPT2.query_bytes + statistics


def test_blocks_are_those_of_the_kernel(a100):
    assert block(GPT2, a100.sram_bytes) == 256
    assert block(replace(GPT2, head_dim=128), a100.sram_bytes) == 128


def decode(batch, heads=8, kv_len=32768):
    return Problem(batch, heads, heads, 128, 1, kv_len)


@pytest.mark.parametrize(
    ("schedule", "known_ms"),
    [
        ("unsplit", (0.76, 0.77, 0.77, 0.78, 1.58)),
        ("flash_decoding", (0.13, 0.23, 0.41, 0.79, 1.34)),
    ],
)
def test_two_engines_on_one_a100(schedule, known_ms, a100):
    """vLLM 0.14.0 does not split, TensorRT-LLM 1.0.0 does: 32K keys, 8 heads, batch 1 to 16."""
    ours = [DECODE[schedule].cost(decode(b), a100).seconds * 1e3 for b in (1, 2, 4, 8, 16)]
    np.testing.assert_allclose(ours, known_ms, rtol=0.12)


def test_splits_fill_the_gpu_with_a_power_of_two():
    assert [splits_of(t, 32768, 108) for t in (1, 8, 12, 40, 64, 108, 500)] == [
        64,
        8,
        8,
        2,
        1,
        1,
        1,
    ]
    assert splits_of(1, 256, 108) == 2


def test_lean_attention_gains_most_with_few_heads_and_long_contexts(a100):
    def gain(heads, keys):
        problem = decode(1, heads, keys)
        return unsplit(problem, a100, RATES).seconds / lean(problem, a100).seconds

    assert 7.5 < gain(8, 524288) < 10.0
    assert gain(8, 4096) < gain(8, 65536) < gain(8, 524288)
    assert gain(8, 65536) > gain(32, 65536) > gain(96, 65536)
    assert gain(108, 65536) == pytest.approx(1.0, abs=0.02)


def test_lean_attention_is_never_slower_than_fixed_splits_on_long_contexts(a100):
    for heads in range(1, 130, 7):
        problem = decode(1, heads, 262144)
        best = min(flash_decoding(problem, a100, n, RATES).seconds for n in (1, 2, 4, 8, 16))
        assert lean(problem, a100).seconds < 1.01 * best


@pytest.mark.parametrize(
    ("heads", "dim", "keys", "flat_s", "fused_s"),
    [
        (12, 64, 1024, 0.0133860, 0.0020131),
        (12, 64, 65536, 54.829369, 7.4025003),
        (8, 64, 1024, 0.0089240, 0.0013420),
        (16, 128, 1024, 0.0178481, 0.0051940),
        (16, 128, 65536, 73.105826, 19.026076),
    ],
)
def test_fusemax_and_flat_are_the_artifact_s(heads, dim, keys, flat_s, fused_s):
    problem = Problem(64, heads, heads, dim, keys, keys)
    assert flat(problem).seconds == pytest.approx(flat_s, rel=1e-3)
    assert fusemax(problem).seconds == pytest.approx(fused_s, rel=1e-3)


def test_fusemax_reads_keys_again_when_queries_outgrow_the_buffer():
    for keys, moved in ((1024, 402653184), (65536, 38654705664), (2**20, 6803228196864)):
        problem = Problem(64, 12, 12, 64, keys, keys)
        assert fusemax(problem).hbm_bytes == moved


@pytest.mark.parametrize("name", sorted(PREFILL))
def test_more_keys_never_take_less(name, a100):
    seconds = [
        PREFILL[name].cost(Problem(4, 32, 8, 128, n, n, causal=True), a100).seconds
        for n in (512, 1024, 2048, 4096, 8192)
    ]
    assert (np.diff(seconds) > 0).all()


@pytest.mark.parametrize("name", sorted(DECODE))
def test_decode_is_never_faster_than_memory(name, a100):
    for batch in (1, 16, 256):
        cost = DECODE[name].cost(decode(batch, 32), a100)
        assert cost.seconds > cost.hbm_bytes / a100.bytes_per_s


BAD = (
    ({"batch": 0}, "batch is 0"),
    ({"head_dim": -64}, "head_dim is -64"),
    ({"kv_heads": 5}, "16 heads over 5"),
    ({"mask": "half"}, "mask is 'half'"),
    ({"causal": True, "kv_len": 16}, "kv_len under q_len"),
    ({"q_len": float("nan")}, "q_len is nan"),
)


@pytest.mark.parametrize(("changed", "expected"), BAD)
def test_bad_problems_are_refused(changed, expected):
    with pytest.raises(BadInput) as caught:
        replace(GPT2, **changed)
    assert expected in caught.value.line()


def test_decode_schedules_refuse_prefill(a100):
    with pytest.raises(BadInput):
        lean(GPT2, a100)
