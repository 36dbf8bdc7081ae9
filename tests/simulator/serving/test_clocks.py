"""The compiled clocks against the timers that they are made of."""

import numpy as np
import pytest

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.scenario.load import validate
from tierlab.simulator.serving.build import build
from tierlab.simulator.serving.run import serve
from tierlab.simulator.serving.timers import profile_timer, step_timer


def scenario(host, model="Llama-3.1-8B", hardware="H200", times="roofline", **engine):
    section = {"max_model_len": 8192, "max_num_batched_tokens": 512, **engine}
    data = {"model": model, "hardware": hardware, "engine": section}
    data |= {"workload": {"generator": "poisson"}, "time": {"model": times, "host": host}}
    return validate(data, "test")


def token_times(run):
    requests = run.requests
    first, last = requests.first_token_s, requests.last_token_s
    return np.concatenate([first - requests.scheduled_s, last - first])


def expected(timer):
    """Seconds of a prompt of 700 tokens, in chunks of 512 and 188, and of three more tokens."""
    none, prefill_s = np.zeros(0, np.int64), 0.0
    for tokens, keys in ((512, 512), (188, 700)):
        prefill_s += timer.mixed(np.array([tokens]), np.array([keys]), none).seconds[0]
    return np.array([prefill_s, timer.decode(np.array([701]), 3).seconds.sum()])


@pytest.mark.parametrize("overlaps", [True, False])
@pytest.mark.parametrize("mode", ["full_and_piecewise", "full_decode_only", "none"])
@pytest.mark.parametrize("model", ["Llama-3.1-8B", "SmolLM2-135M"])
def test_a_lone_request_takes_its_steps(trace, mode, overlaps, model):
    made = scenario("vllm-v1", model, async_scheduling=overlaps, cudagraph_mode=mode)
    parts = build(made)
    run = serve(made, parts, trace([0.0], [700], [4]))
    np.testing.assert_allclose(token_times(run), expected(step_timer(made, parts)), 1e-9)
    assert run.record.busy_s.sum() == pytest.approx(token_times(run).sum())


@pytest.mark.shared
@pytest.mark.parametrize("host", ["none", {"name": "none", "step_s": 0.05, "sequence_s": 0.01}])
@pytest.mark.parametrize("overlaps", [True, False])
def test_a_lone_request_of_a_profile(trace, shared_dir, host, overlaps):
    spec = f"profile:{shared_dir / 'measured/vllm_rtx4090'}"
    engine = {"num_gpu_blocks": 2588, "async_scheduling": overlaps}
    made = scenario(host, hardware="RTX-4090", times=spec, **engine)
    parts = build(made)
    run = serve(made, parts, trace([0.0], [700], [4]))
    np.testing.assert_allclose(token_times(run), expected(profile_timer(made, parts)), 1e-9)


@pytest.mark.shared
@pytest.mark.parametrize("ragged", [False, True])
def test_decodes_of_unlike_lengths_of_a_profile(trace, shared_dir, ragged):
    """40 and 8,000 tokens decode together: skew.csv counts where it is asked for."""
    engine = {"max_model_len": 16384, "max_num_batched_tokens": 16384, "async_scheduling": False}
    data = {"model": "Llama-3.1-8B", "hardware": "RTX-4090", "engine": engine}
    data |= {"time": {"model": f"profile:{shared_dir / 'measured/vllm_rtx4090'}", "ragged": ragged}}
    made = validate(data | {"workload": {"generator": "poisson"}}, "test")
    parts = build(made)
    run = serve(made, parts, trace([0.0] * 32, [40] * 30 + [4000] * 2, [2] * 32))
    r, timer = run.requests, profile_timer(made, parts)
    assert len(np.unique(r.first_token_s)) == 1
    lengths = np.array([41] * 30 + [4001] * 2)
    took_s = timer.decode(lengths, 1).seconds[0]
    np.testing.assert_allclose(r.last_token_s - r.first_token_s, took_s, 1e-9)
    even_s = timer.decode(np.full(32, lengths.mean()), 1).seconds[0]
    assert took_s > 1.02 * even_s if ragged else took_s == pytest.approx(even_s)


def test_unlike_lengths_may_count_as_the_mean(trace):
    """Thirty short and two long contexts on an RTX 4090, with kernel models."""
    took = []
    for ragged in (None, True, False):
        data = {"model": "Llama-3.1-8B", "hardware": "RTX-4090", "time": {"ragged": ragged}}
        made = validate(data | {"workload": {"generator": "poisson"}}, "test")
        timer = step_timer(made, build(made))
        took.append(timer.decode(np.array([41] * 30 + [4001] * 2), 1).seconds[0])
    mean = timer.decode(np.full(32, (41 * 30 + 4001 * 2) // 32), 1).seconds[0]
    assert took[0] == took[1] > 1.02 * took[2]
    assert took[2] == pytest.approx(mean, rel=0.01)


def test_unlike_lengths_need_a_clock_that_knows_them():
    time = {"model": "roofline", "ragged": True}
    data = {"model": "SmolLM2-135M", "hardware": "H200", "time": time}
    made = validate(data | {"workload": {"generator": "poisson"}}, "test")
    with pytest.raises(BadInput, match=r"time\.ragged"):
        build(made)


@pytest.mark.parametrize("overlaps", [False, True])
def test_the_first_launch_blocks_the_host(trace, served, overlaps):
    """Steps of 1 s, the first launched for 5 s: the second request, at 2 s, joins the next step.

    Asynchronously it is seen when the launch ends, at 5 s, while the first step runs to 6 s.
    """
    requests = trace([0.0, 2.0], [10, 10], [3, 2])
    host = {"name": "none", "first_launch_s": 5.0}
    found = served(requests, async_scheduling=overlaps, host=host).requests
    assert found.first_token_s.tolist() == pytest.approx([6.0, 7.0])
    assert found.queued_s[1] == pytest.approx(5.0 if overlaps else 6.0)
    assert found.last_token_s.tolist() == pytest.approx([8.0, 8.0])


@pytest.mark.parametrize(
    ("times", "hardware"), [("roofline", "H200"), ("silicon", "H200"), ("silicon", "RTX-4090")]
)
def test_ragged_chunks_and_decodes_share_a_step(trace, times, hardware):
    """Three requests at once: the first step has chunks of 300, 150 and 62 tokens."""
    host = {"name": "vllm-v1", "request_s": 0, "token_s": 0}
    made = scenario(host, hardware=hardware, times=times, async_scheduling=False)
    parts = build(made)
    run = serve(made, parts, trace([0.0] * 3, [300, 150, 100], [5, 5, 5]))
    timer, none = step_timer(made, parts), np.zeros(0, np.int64)
    sizes = np.array([300, 150, 62])
    one = timer.mixed(sizes, sizes, none).seconds[0]
    two = timer.mixed(np.array([38]), np.array([100]), np.array([301, 151])).seconds[0]
    found = run.requests.first_token_s
    np.testing.assert_allclose(found, [one, one, one + two], rtol=1e-9)


def test_a_prompt_queues_once_it_is_tokenised(trace):
    """0.5 s and 1 ms a token before it queues; its prefill begins then."""
    made = scenario({"name": "none", "request_s": 0.5, "token_s": 0.001})
    run = serve(made, build(made), trace([1.0, 1.0], [700, 200], [2, 2]))
    np.testing.assert_allclose(run.requests.queued_s, [2.2, 1.7])
    np.testing.assert_allclose(run.requests.scheduled_s[1], 1.7)
