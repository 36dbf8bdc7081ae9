"""The tables of step times against the time model asked directly."""

import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_system
from tierlab.hwmodels.time.registry import time_model
from tierlab.kernels.models.load import load_model
from tierlab.kernels.models.step import decode_work, dense_work, prefill_work
from tierlab.simulator.serving.steptime import StepTimer

MODELS = ["Llama-3.1-8B", "gpt-oss-120b", "DeepSeek-V3", "Bamba-9B", "Qwen3-30B-A3B"]


@pytest.fixture(scope="module")
def times():
    system = load_system("8xH200", "test")
    return time_model("roofline", system.gpu, system.peer_link, "test")


def timer(times, name):
    return StepTimer(load_model(name), "bf16", "bf16", 1, times, 131072, 8192)


def asked(times, *works):
    total = 0.0
    for work in works:
        total += (times.predict(work.ops).seconds * work.repeat).sum()
    return total


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("batch", [1, 7, 256])
@pytest.mark.parametrize("length", [1, 100, 777, 5000, 100_001])
def test_a_decode_step(times, name, batch, length):
    model = load_model(name)
    found = timer(times, name).decode(np.full(batch, length), 1).seconds[0]
    parts = (
        decode_work(model, 1, "bf16", batch, length, 0.0),
        dense_work(model, "bf16", 1, batch, batch),
    )
    assert found == pytest.approx(asked(times, *parts), rel=0.005)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("q", "past"), [(1, 0), (300, 0), (8192, 0), (777, 5003), (8190, 100_000)])
def test_a_prefill_step(times, name, q, past):
    model = load_model(name)
    found = timer(times, name).mixed(np.array([q]), np.array([q + past]), np.zeros(0, np.int64))
    parts = prefill_work(model, 1, "bf16", q, q + past), dense_work(model, "bf16", 1, q, 1)
    assert found.seconds[0] == pytest.approx(asked(times, *parts), rel=0.01)


def test_many_steps_at_once_are_single_steps(times):
    clock = timer(times, "Llama-3.1-8B")
    kv = np.array([10, 500, 90])
    many = clock.decode(kv, 300).seconds
    single = [clock.decode(kv + i, 1).seconds[0] for i in range(300)]
    np.testing.assert_allclose(many, single, rtol=1e-3)


@pytest.mark.parametrize("name", ["Llama-3.1-8B", "DeepSeek-V3", "Bamba-9B"])
def test_chunks_of_a_mixed_step_share_their_kernels(times, name):
    """Two ragged chunks take what they take alone, less one call of every kernel."""
    clock, model = timer(times, name), load_model(name)
    none = np.zeros(0, np.int64)
    q, kv = np.array([100, 200]), np.array([100, 900])
    dense = [
        asked(times, dense_work(model, "bf16", 1, m, n)) for m, n in ((300, 2), (100, 1), (200, 1))
    ]
    together = clock.mixed(q, kv, none).seconds[0] - dense[0]
    apart = [clock.mixed(q[i : i + 1], kv[i : i + 1], none).seconds[0] for i in range(2)]
    own = asked(times, prefill_work(model, 1, "bf16", 1, 1))
    assert together == pytest.approx(sum(apart) - sum(dense[1:]) - own, rel=0.01)
    assert clock.chunks.once.sum() == pytest.approx(own, rel=0.01)


def test_chunks_of_a_mixed_step_may_stand_in_any_order(times):
    clock = timer(times, "Llama-3.1-8B")
    q, kv, decodes = np.array([100, 2000, 7]), np.array([100, 9000, 4007]), np.array([30, 4000])
    found = clock.mixed(q, kv, decodes).seconds[0]
    turned = clock.mixed(q[::-1].copy(), kv[::-1].copy(), decodes[::-1].copy()).seconds[0]
    assert found == pytest.approx(turned, rel=1e-12)


def test_decodes_beside_a_chunk_add_their_attention_and_tokens(times):
    clock, model = timer(times, "Llama-3.1-8B"), load_model("Llama-3.1-8B")
    q, kv = np.array([777]), np.array([5780])
    decodes = np.array([1024, 2048, 3072])
    found = clock.mixed(q, kv, decodes).seconds[0]
    parts = (
        prefill_work(model, 1, "bf16", 777, 5780),
        decode_work(model, 1, "bf16", 3, 2048, 0.5),
        dense_work(model, "bf16", 1, 780, 4),
    )
    assert found == pytest.approx(asked(times, *parts), rel=0.005)


def test_the_split_by_source_adds_up(times):
    found = timer(times, "Llama-3.1-8B").decode(np.array([10, 20]), 5)
    np.testing.assert_allclose(found.by_source.sum(axis=0), found.seconds)
