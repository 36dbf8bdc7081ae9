"""Served runs of every preset, held against the design's own footprint, token by token."""

import numpy as np
import pytest

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.models.kv import kv_groups
from tierlab.kernels.models.step import decode_work, dense_work, prefill_work
from tierlab.kernels.ops.table import Work
from tierlab.policies.composing import as_keys
from tierlab.policies.design import preset_names
from tierlab.simulator.cli.main import run_cli
from tierlab.simulator.metrics.summary import summarise
from tierlab.simulator.scenario.load import validate
from tierlab.simulator.serving.build import build
from tierlab.simulator.serving.engine import state
from tierlab.simulator.serving.far import copy_cost
from tierlab.simulator.serving.kept import kept_tokens, unpruned
from tierlab.simulator.serving.requests import DONE
from tierlab.simulator.serving.run import serve, simulate

CHUNK, PROMPT, OUTPUT = 2048, 9000, 40
"""9,000 tokens: past InfLLM's 4,096 local and 128 first ones, and no multiple of anything."""
PRESETS = sorted(preset_names())
CHANGING = [name for name in PRESETS if name not in ("baseline", "vllm", "vllm-fp8-kv")]


def scenario(design, hardware="H200", **engine):
    section = {"max_num_batched_tokens": CHUNK, "cudagraph_mode": "none", "max_model_len": 16384}
    data = {"model": "Llama-3.1-8B", "hardware": hardware, "design": design}
    data |= {"engine": section | {"async_scheduling": False} | engine}
    data |= {"time": {"model": "roofline", "host": "none"}}  # smooth, so that tables are exact
    return validate(data | {"workload": {"generator": "poisson", "limit": 3}}, "test")


def alone(trace, design, **engine):
    """Serve one request; return the run, its parts and its contexts in decoding."""
    made = scenario(design, **engine)
    parts = build(made)
    run = serve(made, parts, trace([0.0], [PROMPT], [OUTPUT]))
    return run, parts, np.arange(PROMPT + 1, PROMPT + OUTPUT, dtype=np.int64)


def footprint(parts, contexts, design=None):
    return (design or parts.design).footprint(kv_groups(parts.model, 1), contexts, PROMPT)


def seconds(parts, works):
    work = Work.concat(works)
    return float((parts.times.predict(work.ops).seconds * work.repeat).sum())


def prompt_s(parts):
    """Predict each chunk without tables: the model's operations and the policies'."""
    ends = np.array([*range(CHUNK, PROMPT, CHUNK), PROMPT], np.int64)
    new, last = np.diff(ends, prepend=0), ends == PROMPT
    kv_dtype = parts.design.representation.kv_dtype
    return seconds(
        parts,
        [
            prefill_work(parts.model, 1, kv_dtype, new, ends, "bf16"),
            parts.design.operations(parts.model, 1, True, 1, new, ends, last),
            dense_work(parts.model, "bf16", 1, new, np.ones_like(new)),
        ],
    )


def outputs_s(parts, contexts):
    """Predict each decode without tables: the bytes that it reads, and the policies' work."""
    groups, kv_dtype = kv_groups(parts.model, 1), parts.design.representation.kv_dtype
    found = footprint(parts, contexts)
    one = np.ones(len(contexts), np.int64)
    keys, kept = as_keys(found, groups, kv_dtype), found.kept_tokens.max(axis=0)
    return seconds(
        parts,
        [
            decode_work(parts.model, 1, kv_dtype, one, keys, np.zeros(len(contexts))),
            parts.design.operations(parts.model, 1, False, 1, 1, kept),
            dense_work(parts.model, "bf16", 1, one, one),
        ],
    )


@pytest.mark.parametrize("design", [name for name in PRESETS if name != "infllm"])
def test_a_lone_request_takes_what_its_operations_take(trace, design):
    run, parts, contexts = alone(trace, design)
    requests = run.requests
    ttft_s = float(requests.first_token_s[0])
    assert ttft_s == pytest.approx(prompt_s(parts), rel=5e-3)
    took_s = float(requests.last_token_s[0]) - ttft_s
    assert took_s == pytest.approx(outputs_s(parts, contexts), rel=5e-3)


@pytest.mark.parametrize("design", PRESETS)
def test_attention_reads_the_bytes_of_the_footprint(trace, design):
    run, parts, contexts = alone(trace, design)
    ends = np.array([*range(CHUNK, PROMPT, CHUNK), PROMPT], np.int64)
    dtype_bytes = 1 if parts.design.representation.kv_dtype == "fp8" else 2
    decoded = float(footprint(parts, contexts).read_bytes.sum())
    chunks = run.record.attention_bytes - decoded
    if parts.design.representation.name in ("bf16", "fp8"):
        assert chunks == pytest.approx(ends.sum() * 32 * 8 * 128 * 2 * dtype_bytes)
    assert chunks > 0


@pytest.mark.parametrize("design", PRESETS)
def test_hbm_holds_the_whole_prompt_once_and_then_the_footprint(trace, design):
    run, parts, _ = alone(trace, design, num_gpu_blocks=4096)
    rows = run.record.columns()
    decoding = rows["decodes"] > 0
    context = PROMPT + np.cumsum(rows["steps"] * decoding).astype(np.int64)
    size, block = run.caches[0].block_size, run.caches[0].block_bytes
    whole = unpruned(parts.design)

    def blocks(tokens):
        """Count blocks as contexts grow: a format may need more for fewer tokens."""
        upto = np.arange(-(-tokens // size) + 1) * size
        found = whole.footprint(kv_groups(parts.model, 1), upto)
        return int(np.ceil((found.stored_bytes["hbm"] + found.staged_bytes).max() / block - 1e-9))

    at = int(np.flatnonzero(~decoding)[-1])
    assert rows["kv_bytes"][at] == blocks(PROMPT) * block
    groups = kv_groups(parts.model, 1)
    for i in np.flatnonzero(decoding):
        kept = kept_tokens(parts.design, groups, np.array([PROMPT]), context[i : i + 1] + 1)
        assert rows["kv_bytes"][i] in (
            blocks(int(kept[0])) * block,
            blocks(int(kept[0]) - 1) * block,
        )


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("design", CHANGING)
def test_many_requests_on_a_small_pool_all_end(trace, design, asynchronous):
    """Prompts of all lengths arrive together; some are preempted and compute again."""
    rng = np.random.default_rng(1)
    prompts, outputs = rng.integers(10, 6000, 24).tolist(), rng.integers(1, 900, 24).tolist()
    made = scenario(design, num_gpu_blocks=600, async_scheduling=asynchronous)
    run = serve(made, build(made), trace([0.0] * 24, prompts, outputs))
    assert (run.requests.status == DONE).all()
    core = run.caches[0].core
    assert run.caches[0].free == run.caches[0].size
    assert core.reg[state.FAR_FREE] == core.reg[state.FAR_SIZE]


@pytest.mark.parametrize("design", CHANGING)
def test_many_steps_in_one_event_are_single_steps(trace, design, monkeypatch):
    requests = trace([0.0, 0.3, 0.9, 5.0], [3000, 700, 5000, 40], [300, 500, 200, 64])
    made = scenario(design)
    many = serve(made, build(made), requests).requests
    monkeypatch.setattr(state, "MOST_STEPS", 1)
    single = serve(made, build(made), requests).requests
    for column in ("scheduled_s", "first_token_s", "last_token_s"):
        np.testing.assert_allclose(getattr(many, column), getattr(single, column), rtol=1e-9)


@pytest.mark.parametrize("design", ["snapkv", "h2o", "streamingllm", "kivi-2bit"])
def test_what_is_smaller_lets_more_requests_run(trace, design):
    def together(name):
        made = scenario(name, num_gpu_blocks=2000)
        run = serve(made, build(made), trace([0.0] * 20, [6000] * 20, [400] * 20))
        return run.record.columns()["decodes"].max()

    assert together(design) > 1.5 * together("baseline")


def host(buffers=2, share=0.0):
    placement = {"name": "host", "buffers": buffers, "hbm_share": share}
    return {"preset": "baseline", "placement": placement}


@pytest.mark.parametrize("buffers", [1, 2])
def test_kv_in_host_memory_crosses_the_link_in_every_step(trace, buffers):
    run, parts, contexts = alone(trace, host(buffers))
    found = footprint(parts, contexts)
    moved = found.moved_bytes["dram"]
    cost = copy_cost(parts.system, "dram", len(parts.model.layers), 1)
    copies_s = np.array([cost.seconds(float(nbytes)) for nbytes in moved])
    baseline, _, _ = alone(trace, "baseline")

    def outputs(requests):
        return float(requests.last_token_s[0] - requests.first_token_s[0])

    device_s = outputs(baseline.requests)
    assert copies_s.sum() > device_s  # PCIe is slower than this attention
    total_s = copies_s.sum() + (device_s if buffers == 1 else 0.0)
    assert outputs(run.requests) == pytest.approx(total_s, rel=1e-3)
    chunks = range(CHUNK, PROMPT, CHUNK)
    one = moved[0] / contexts[0]
    summary = summarise(run)
    assert summary["tiers"]["dram"]["bytes_read"] == pytest.approx(moved.sum() + one * sum(chunks))
    assert summary["tiers"]["dram"]["bytes_written"] == pytest.approx(one * PROMPT)
    causes = summary["links"]["pcie5-x16"]["by_cause"]
    assert causes["selection"]["down"] == summary["tiers"]["dram"]["bytes_read"]
    assert causes["write_through"]["up"] == summary["tiers"]["dram"]["bytes_written"]


def test_requests_wait_for_room_below_hbm(trace):
    """Host memory for two and a half requests: the third starts when another ends."""
    made = scenario(host())
    parts = build(made)
    from tierlab.simulator.serving import below

    need = 9040 * 131072.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(below, "room_bytes", lambda *_: 2.5 * need)
        run = serve(made, parts, trace([0.0] * 3, [PROMPT] * 3, [OUTPUT] * 3))
        refused = serve(made, parts, trace([0.0], [14000], [2000]))
        patch.setattr(below, "room_bytes", lambda *_: 0.5 * need)
        never = serve(made, parts, trace([0.0], [PROMPT], [OUTPUT]))
    requests = run.requests
    assert (requests.status == DONE).all()
    assert requests.scheduled_s[2] >= requests.last_token_s[:2].min()
    assert (refused.requests.status == DONE).all()
    assert never.requests.status[0] != DONE
    assert summarise(never)["rejected_by_reason"] == {"kv_capacity": 1}


def test_replicas_share_host_memory_and_its_bandwidth():
    alone_s = copy_cost(build(scenario("baseline", "8xH200")).system, "dram", 32, 1)
    together = copy_cost(build(scenario("baseline", "8xH200")).system, "dram", 32, 8)
    assert together.s_per_byte >= alone_s.s_per_byte


def test_tensor_parallel_ranks_divide_what_moves(trace):
    one = scenario(host(), "2xH200")
    two = scenario(host(), "2xH200", tensor_parallel_size=2)
    runs = [serve(s, build(s), trace([0.0], [PROMPT], [OUTPUT])) for s in (one, two)]
    read = [summarise(run)["tiers"]["dram"]["bytes_read"] for run in runs]
    assert read[0] == pytest.approx(read[1])


@pytest.mark.parametrize("design", PRESETS)
def test_every_preset_runs_from_the_command_line(design, tmp_path, capsys):
    path = tmp_path / "s.toml"
    path.write_text(
        f'model = "Llama-3.1-8B"\nhardware = "H200"\ndesign = "{design}"\n'
        '[workload]\ngenerator = "poisson"\nlimit = 3\n[engine]\nmax_model_len = 8192\n',
        encoding="utf-8",
    )
    assert run_cli(["run", str(path), "--json"]) == 0
    assert '"completed": 3' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"design": host(), "tiers": {"dram": {"capacity_bytes": "64 GB"}}}, "tiers"),
        ({"design": {"preset": "kivi-2bit", "reuse": "lru"}}, "design.reuse"),
        ({"design": {"preset": "baseline", "placement": "ssd"}}, "design.placement"),
    ],
)
def test_what_a_run_cannot_tell_is_refused(changes, where):
    data = {"model": "Llama-3.1-8B", "hardware": "H200", "engine": {"max_model_len": 16384}}
    data |= {"workload": {"generator": "poisson", "limit": 3}} | changes
    with pytest.raises(BadInput, match=where):
        simulate(validate(data, "test"))


@pytest.mark.shared
@pytest.mark.parametrize("design", CHANGING)
def test_a_profile_knows_no_steps_of_other_designs(design, shared_dir):
    spec = {"model": f"profile:{shared_dir / 'measured/vllm_rtx4090'}"}
    data = {"model": "Llama-3.1-8B", "hardware": "RTX-4090", "design": design, "time": spec}
    data |= {"engine": {"max_model_len": 4096}, "workload": {"generator": "poisson", "limit": 3}}
    with pytest.raises(BadInput, match=r"time\.model: a profile has no steps"):
        simulate(validate(data, "test"))


ODD = """
from dataclasses import dataclass
import numpy as np
from tierlab.policies.protocol import Declares, Statistics


@dataclass(frozen=True)
class Halves:
    axis = "retention"
    name = "halves"
    paper = ""
    declares = Declares(drops_at=("step",))

    def footprint(self, shape):
        return np.maximum(shape.tokens // 2, 1)

    def statistics(self, source):
        return Statistics(1.0, 1.0, 1.0, "test")

    def decide(self, keys, scores):
        return keys


POLICY = Halves
"""


def test_a_retention_that_the_loop_cannot_follow_is_refused(tmp_path, trace):
    path = tmp_path / "halves.py"
    path.write_text(ODD, encoding="utf-8")
    made = scenario({"preset": "baseline", "retention": str(path)})
    with pytest.raises(BadInput, match=r"design\.retention.*keeps"):
        serve(made, build(made), trace([0.0], [100], [10]))
