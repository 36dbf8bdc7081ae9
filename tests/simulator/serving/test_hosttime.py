"""Host and device in one step, against closed forms; each regime changes what it should."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tierlab.hwmodels.hostcost import HostCosts
from tierlab.kernels.models.load import load_model
from tierlab.simulator.scenario.load import validate
from tierlab.simulator.serving.build import build
from tierlab.simulator.serving.hosttime import Launches
from tierlab.simulator.serving.timers import host_costs, profile_timer, step_timer

NONE = np.zeros(0, np.int64)
LAUNCH_S, PIECE_S, GRAPH_S = 24e-6, 41e-6, 20e-6
STEP_S, SEQUENCE_S = 338e-6, 12.7e-6
SMALL = "SmolLM2-135M"


def timer(model=SMALL, hardware="H200", host=None, **engine):
    section = {"max_model_len": 8192, **engine}
    data = {"model": model, "hardware": hardware, "engine": section}
    data |= {
        "workload": {"generator": "poisson"},
        "time": {"model": "roofline", "host": host or {}},
    }
    scenario = validate(data, "test")
    return step_timer(scenario, build(scenario))


def decode_s(made, batch, keys=500):
    return float(made.decode(np.full(batch, keys), 1).seconds[0])


def chunk_s(made, tokens):
    return float(made.mixed(np.array([tokens]), np.array([tokens]), NONE).seconds[0])


def test_launches_are_the_kernels_of_the_model():
    """Llama: 8 dense kernels a layer, KV write and attention; embedding and last norm; 4 at the
    end (gather, logits, widening, sampling)."""
    found = Launches.of(load_model("Llama-3.1-8B"), "bf16", 1)
    assert (found.dense, found.decode, found.prefill, found.head) == (258, 64, 64, 4)
    assert found.pieces == 33


def test_tensor_parallelism_launches_its_collectives_too():
    """Two all-reduces a layer, one after the embedding, one gather of logits."""
    alone, sharded = (Launches.of(load_model("Llama-3.1-8B"), "bf16", tp) for tp in (1, 4))
    assert sharded.dense - alone.dense == 2 * 32 + 1
    assert sharded.head - alone.head == 1


def test_a_small_model_lasts_as_long_as_the_host_works():
    made = timer(max_num_seqs=512)
    expected = STEP_S + 512 * SEQUENCE_S + GRAPH_S + 4 * LAUNCH_S
    assert decode_s(made, 512, keys=10) == pytest.approx(expected, rel=1e-12)


def test_a_large_model_hides_the_host_where_scheduling_is_asynchronous():
    free = decode_s(timer("Llama-3.1-8B", host="none"), 8)
    assert decode_s(timer("Llama-3.1-8B"), 8) == free


@pytest.mark.parametrize("batch", [1, 8, 64])
def test_synchronous_scheduling_adds_exactly_the_engines_work(batch):
    overlapped = decode_s(timer("Llama-3.1-8B"), batch)
    waiting = decode_s(timer("Llama-3.1-8B", async_scheduling=False), batch)
    assert waiting - overlapped == pytest.approx(STEP_S + batch * SEQUENCE_S, rel=1e-9)


@pytest.mark.parametrize("overlaps", [True, False])
def test_eager_pays_for_every_kernel_where_launching_is_slower_than_running(overlaps):
    """SmolLM2: 30 layers of 8 dense kernels and 2 of attention, 2 outside layers, 4 at the end."""
    eager = timer(cudagraph_mode="none", async_scheduling=overlaps)
    expected = STEP_S + SEQUENCE_S + (30 * 10 + 2 + 4) * LAUNCH_S
    assert decode_s(eager, 1) == pytest.approx(expected, rel=1e-12)


def test_an_eager_step_of_llama_8b_takes_what_was_published():
    """8.4 ms on an H100 (cloudai.pt, 2026); launching it takes longer than running it."""
    made = timer("Llama-3.1-8B", hardware="H100", cudagraph_mode="none")
    assert decode_s(made, 1) == pytest.approx(8.4e-3, rel=0.05)


def test_piecewise_pays_for_pieces_and_for_attention():
    made = timer(cudagraph_mode="piecewise")
    expected = STEP_S + SEQUENCE_S + 31 * PIECE_S + (30 * 2 + 4) * LAUNCH_S
    assert decode_s(made, 1) == pytest.approx(expected, rel=1e-12)


def test_eager_and_piecewise_differ_by_their_launches():
    eager, pieces = (timer(cudagraph_mode=mode) for mode in ("none", "piecewise"))
    difference = decode_s(eager, 8) - decode_s(pieces, 8)
    assert difference == pytest.approx((30 * 8 + 2) * LAUNCH_S - 31 * PIECE_S, rel=1e-12)


def test_eager_costs_nothing_where_kernels_are_longer_than_launches():
    assert chunk_s(timer("Llama-3.1-8B"), 4096) == chunk_s(
        timer("Llama-3.1-8B", cudagraph_mode="none"), 4096
    )


def test_a_chunk_beyond_the_largest_size_is_launched_kernel_by_kernel():
    made = timer()
    assert chunk_s(made, 513) - chunk_s(made, 512) == pytest.approx(
        (30 * 8 + 2) * LAUNCH_S - 31 * PIECE_S, rel=1e-12
    )


def test_full_graphs_of_mixed_batches():
    assert chunk_s(timer(cudagraph_mode="full"), 64) < chunk_s(timer(), 64)
    assert chunk_s(timer(cudagraph_mode="full_decode_only"), 64) > chunk_s(timer(), 64)


def test_padding_shows_between_8_and_9():
    """9 tokens are computed as 16, but only 9 attend and sample."""
    padded = timer("Qwen3-30B-A3B", host="none")
    exact = timer("Qwen3-30B-A3B", host="none", cudagraph_mode="none")
    assert decode_s(padded, 8) == decode_s(exact, 8)
    extra = decode_s(padded, 9) - decode_s(exact, 9)
    dense = exact.dense.at(16).sum() - exact.dense.at(9).sum()
    assert extra == pytest.approx(dense, rel=1e-9)
    assert dense > 0
    assert padded.dense.at(9).tolist() == padded.dense.at(16).tolist()


def test_full_decode_only_pads_decodes_and_nothing_else():
    made = timer(cudagraph_mode="full_decode_only", host="none")
    alone, sampled = made.by_sequences
    np.testing.assert_allclose(alone[9] - sampled[9], made.dense.at(16), rtol=1e-12)
    assert made.dense.at(9).tolist() != made.dense.at(16).tolist()
    padded = timer(host="none")
    assert decode_s(made, 9) == decode_s(padded, 9)
    assert chunk_s(made, 9) != chunk_s(padded, 9)


def test_custom_sizes():
    made = timer("Llama-3.1-8B", host="none", cudagraph_capture_sizes=[1, 100])
    assert made.dense.at(2).tolist() == made.dense.at(100).tolist()
    assert made.dense.at(101).tolist() != made.dense.at(100).tolist()


def test_sampling_costs_its_passes_over_the_logits():
    fixed = [
        timer(sampling=s).by_sequences[1][256].sum() for s in ("greedy", "random", "top_k_top_p")
    ]
    logits_s = 256 * 49_152 * 4.0 / 4.8e12
    assert fixed[1] - fixed[0] == pytest.approx(8 * logits_s, rel=1e-6)
    assert fixed[2] - fixed[1] == pytest.approx(37 * logits_s, rel=1e-6)


def test_seconds_that_wait_for_the_host_are_seconds_of_the_step():
    found = timer(async_scheduling=False).mixed(np.array([64]), np.array([64]), np.array([10, 20]))
    np.testing.assert_allclose(found.by_source.sum(axis=0), found.seconds, rtol=1e-12)


def test_single_costs_are_keys_of_the_scenario():
    plain, slow = timer(async_scheduling=False), timer(host={"step_s": 1.0}, async_scheduling=False)
    assert decode_s(slow, 1) - decode_s(plain, 1) == pytest.approx(1.0 - STEP_S, rel=1e-9)


def test_prompts_are_tokenised_and_hashed_before_they_queue():
    host = timer().host
    assert host.queued_after_s(50_000) == pytest.approx(500e-6 + 50_000 * 1.22e-6)


def profiled(shared_dir, **time):
    spec = f"profile:{shared_dir / 'measured/vllm_rtx4090'}"
    data = {"model": "Llama-3.1-8B", "hardware": "RTX-4090", "time": {"model": spec, **time}}
    data |= {"workload": {"generator": "poisson"}, "engine": {"num_gpu_blocks": 2588}}
    scenario = validate(data, "test")
    return scenario, profile_timer(scenario, build(scenario))


@pytest.mark.shared
def test_a_profile_of_whole_steps_gets_no_host_unless_asked(shared_dir):
    scenario, made = profiled(shared_dir)
    assert made.host is None
    assert host_costs(scenario, profiled=True).name == "none"
    assert isinstance(host_costs(scenario, profiled=False), HostCosts)
    _, asked = profiled(shared_dir, host="vllm-v1")
    keys = np.full(8, 500)
    assert asked.decode(keys, 1).seconds[0] == made.decode(keys, 1).seconds[0]
    slow = profiled(shared_dir, host={"name": "none", "step_s": 1.0})[1].decode(keys, 3)
    assert slow.seconds.tolist() == [1.0, 1.0, 1.0]
    np.testing.assert_allclose(slow.by_source.sum(axis=0), 1.0)


MODES = st.sampled_from(["full_and_piecewise", "full", "full_decode_only", "piecewise", "none"])
TIMERS: dict[tuple[str, bool, str], object] = {}


def cached(mode, overlaps, model=SMALL):
    key = mode, overlaps, model
    if key not in TIMERS:
        TIMERS[key] = timer(model, cudagraph_mode=mode, async_scheduling=overlaps)
    return TIMERS[key]


@settings(deadline=None, max_examples=60)
@given(MODES, st.booleans(), st.integers(1, 255), st.integers(1, 8000), st.integers(1, 100))
def test_a_step_is_monotone_in_batch_and_context(mode, overlaps, batch, keys, more):
    made = cached(mode, overlaps)
    here = decode_s(made, batch, keys)
    assert decode_s(made, min(batch + more, 256), keys) >= here * (1 - 1e-12)
    assert decode_s(made, batch, keys + more) >= here * (1 - 1e-12)


@settings(deadline=None, max_examples=40)
@given(MODES, st.booleans(), st.lists(st.integers(1, 5000), min_size=1, max_size=20))
def test_many_steps_are_single_steps(mode, overlaps, keys):
    made, kv = cached(mode, overlaps), np.array(keys)
    many = made.decode(kv, 50).seconds
    single = [made.decode(kv + i, 1).seconds[0] for i in range(50)]
    np.testing.assert_allclose(many, single, rtol=1e-12)
