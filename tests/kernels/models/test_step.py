"""Steps as operations: against parameters, against each other, and under sharding."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tierlab.kernels.models.architecture import Moe
from tierlab.kernels.models.kv import kv_bytes_per_token
from tierlab.kernels.models.load import load_model, model_names
from tierlab.kernels.models.step import decode_work, dense_work, prefill_work
from tierlab.kernels.models.weights import active_parameters, weight_bytes
from tierlab.kernels.ops.registry import flops, traffic_bytes
from tierlab.kernels.ops.table import OPS, Work

NAMES = sorted(model_names())
GQA = [n for n in NAMES if n not in ("DeepSeek-V3", "Bamba-9B")]


def total(work: Work, steps: int = 1, formula: object = flops) -> list[float]:
    return work.per_step(formula(work.ops), steps).tolist()  # type: ignore[operator]


def rows(work: Work, op: str) -> np.ndarray:
    return work.ops.op == OPS.index(op)


@pytest.mark.parametrize("name", NAMES)
def test_dense_flops_are_two_a_parameter_and_token(name: str) -> None:
    model = load_model(name)
    found = total(dense_work(model, "bf16", 1, 1, 1))[0]
    if name == "DeepSeek-V3":
        found += total(decode_work(model, 1, "bf16", 1, 1, 0.0))[0]
    assert found == pytest.approx(2 * active_parameters(model), rel=6e-3)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("DeepSeek-V3", "Bamba-9B")])
def test_one_token_reads_the_weights_that_it_visits(name: str) -> None:
    model = load_model(name)
    found = total(dense_work(model, "bf16", 1, 1, 1), formula=traffic_bytes)[0]
    assert found == pytest.approx(2 * active_parameters(model), rel=0.01)


@pytest.mark.parametrize("weights", ["bf16", "fp8", "int4"])
def test_weight_traffic_follows_the_stored_format(weights: str) -> None:
    model = load_model("Llama-3.1-8B")
    work = dense_work(model, weights, 1, 1, 1)
    gemms = np.where(rows(work, "gemm"), traffic_bytes(work.ops), 0.0)
    embedding = 2.0 * model.vocab * model.hidden
    expected = weight_bytes(model, weights) - embedding
    assert work.per_step(gemms, 1)[0] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(("routing", "read"), [(None, 128 * (1 - (15 / 16) ** 16)), (0.0, 128)])
def test_tokens_choose_experts_uniformly_unless_told(routing: float | None, read: float) -> None:
    model = load_model("Qwen3-30B-A3B")
    model = model if routing is None else model.routed(routing)
    work = dense_work(model, "bf16", 1, 16, 0)
    grouped = work.ops.take(rows(work, "grouped_gemm"))
    weights = traffic_bytes(grouped) - 2 * 16 * 8 * (grouped["n"] + grouped["k"])
    assert weights == pytest.approx(2 * read * grouped["n"] * grouped["k"], rel=1e-9)


def test_a_model_is_itself_where_its_routing_stays() -> None:
    """Points of a sweep share what was worked out of a model."""
    experts, none = load_model("Qwen3-30B-A3B"), load_model("Llama-3.1-8B")
    assert experts.routed(1.0) is experts
    assert none.routed(0.0) is none
    assert (experts.routing, experts.routed(1.2).routing, none.routing) == (1.0, 1.2, None)


def test_a_large_batch_visits_every_expert() -> None:
    model = load_model("Qwen3-30B-A3B")
    work = dense_work(model, "bf16", 1, 4096, 0)
    grouped = work.ops.take(rows(work, "grouped_gemm"))
    assert set(grouped["experts"]) == {128.0}
    weights = traffic_bytes(grouped) - 2 * 4096 * 8 * (grouped["n"] + grouped["k"])
    assert weights == pytest.approx(2 * 128 * grouped["n"] * grouped["k"], rel=1e-9)


@pytest.mark.parametrize("name", GQA)
def test_decode_reads_the_cache_and_writes_one_token(name: str) -> None:
    model = load_model(name)
    work = decode_work(model, 1, "bf16", 1, 100.0, 0.0)
    attention = work.ops.take(rows(work, "decode_attention"))
    ends = 4.0 * attention["heads"] * attention["head_dim"]
    read = (traffic_bytes(attention) - ends) @ work.repeat[rows(work, "decode_attention")]
    assert read == 100 * kv_bytes_per_token(model)
    writes = rows(work, "elementwise")
    assert work.ops["bytes"][writes] @ work.repeat[writes] == 2 * kv_bytes_per_token(model)


def test_mla_decodes_absorbed_and_prefills_expanded() -> None:
    model = load_model("DeepSeek-V3")
    decode = decode_work(model, 8, "bf16", 4, 1000.0, 0.25)
    (attention,) = np.flatnonzero(rows(decode, "decode_attention"))
    shape = {c: decode.ops[c][attention] for c in ("heads", "kv_heads", "head_dim", "latent_rank")}
    assert shape == {"heads": 16, "kv_heads": 1, "head_dim": 576, "latent_rank": 512}
    assert decode.ops["kv_len_spread"][attention] == 0.25
    prefill = prefill_work(model, 8, "bf16", 256, 1000)
    (attention,) = np.flatnonzero(rows(prefill, "prefill_attention"))
    assert prefill.ops["head_dim"][attention] == 192
    assert prefill.ops["v_head_dim"][attention] == 128
    (expansion,) = np.flatnonzero(rows(prefill, "gemm"))
    assert prefill.ops["m"][expansion] == 1000


def test_a_hybrid_scans_in_some_layers_and_attends_in_others() -> None:
    model = load_model("Bamba-9B")
    decode = decode_work(model, 2, "bf16", 3, 50.0, 0.0)
    assert decode.repeat[rows(decode, "mamba_decode")].tolist() == [29]
    assert decode.repeat[rows(decode, "decode_attention")].tolist() == [3]
    prefill = prefill_work(model, 2, "bf16", 300, 300)
    (scan,) = np.flatnonzero(rows(prefill, "mamba_prefill"))
    assert (prefill.ops["heads"][scan], prefill.ops["n"][scan]) == (64, 256)


def test_windows_reach_attention() -> None:
    work = decode_work(load_model("gpt-oss-120b"), 1, "bf16", 1, 10_000.0, 0.0)
    attention = work.ops.take(rows(work, "decode_attention"))
    assert sorted(attention["window"]) == [0, 128]
    assert flops(attention).max() / flops(attention).min() == pytest.approx(10_000 / 128)


def test_parallel_ranks_reduce_after_embedding_mixer_and_ffn() -> None:
    model = load_model("Llama-3.1-8B")
    work = dense_work(model, "bf16", 4, 10, 2)
    reductions = rows(work, "all_reduce")
    assert work.repeat[reductions].sum() == 2 * 32 + 1
    assert set(work.ops["bytes"][reductions]) == {2.0 * 10 * 4096}
    assert work.ops["bytes"][rows(work, "all_gather")].tolist() == [2.0 * 2 * 128256 / 4]
    alone = dense_work(model, "bf16", 1, 10, 2)
    assert not (rows(alone, "all_reduce") | rows(alone, "all_gather")).any()


@pytest.mark.parametrize("name", ["Llama-3.1-8B", "Llama-3.1-70B", "OPT-13B", "Qwen3-30B-A3B"])
@pytest.mark.parametrize("tp", [2, 4])
def test_ranks_share_the_arithmetic(name: str, tp: int) -> None:
    model = load_model(name)
    products = ("gemm", "grouped_gemm")

    def arithmetic(ranks: int) -> float:
        work = dense_work(model, "bf16", ranks, 64, 8)
        kinds = np.isin(work.ops.op, [OPS.index(p) for p in products])
        return float(work.per_step(flops(work.ops) * kinds, 1)[0])

    moe = [x.ffn for x in model.layers if isinstance(x.ffn, Moe)]
    router = sum(2.0 * 64 * model.hidden * ffn.experts for ffn in moe)
    assert tp * arithmetic(tp) == pytest.approx(arithmetic(1) + (tp - 1) * router, rel=1e-12)
    one, many = (total(decode_work(model, t, "bf16", 4, 999.0, 0.0))[0] for t in (1, tp))
    assert tp * many == one


def test_many_steps_at_once_equal_one_at_a_time() -> None:
    model = load_model("DeepSeek-V3")
    tokens, logits = [1, 0, 300, 17], [1, 0, 0, 17]
    together = total(dense_work(model, "fp8", 8, tokens, logits), 4)
    apart = [
        total(dense_work(model, "fp8", 8, t, g))[0] for t, g in zip(tokens, logits, strict=True)
    ]
    assert together == apart
    assert together[1] == 0.0
    chunks = prefill_work(model, 8, "bf16", [0, 5, 7], [0, 5, 100])
    assert set(chunks.step) == {1, 2}


def test_steps_without_work_have_no_rows() -> None:
    model = load_model("Llama-3.1-8B")
    assert len(dense_work(model, "bf16", 1, [0], [0]).ops) == 0
    assert len(decode_work(model, 1, "bf16", [0], [0.0], [0.0]).ops) == 0
    assert len(prefill_work(model, 1, "bf16", [0], [0]).ops) == 0


@settings(max_examples=40)
@given(st.sampled_from(NAMES), st.integers(1, 5000), st.integers(0, 5000))
def test_more_tokens_are_more_flops_and_more_bytes(name: str, tokens: int, more: int) -> None:
    model = load_model(name)
    work = dense_work(model, "bf16", 1, [tokens, tokens + more], 1)
    for formula in (flops, traffic_bytes):
        few, many = work.per_step(formula(work.ops), 2)
        assert few <= many * (1 + 1e-12)


@settings(max_examples=40)
@given(st.sampled_from(NAMES), st.integers(1, 3000), st.integers(0, 3000), st.integers(1, 3000))
def test_chunked_prefill_keeps_the_arithmetic_of_attention(
    name: str, first: int, past: int, second: int
) -> None:
    model = load_model(name)
    ends = [past + first, past + first + second]
    parts = prefill_work(model, 1, "bf16", [first, second], ends)
    whole = prefill_work(model, 1, "bf16", first + second, ends[-1])

    def attention(work: Work) -> float:
        kinds = rows(work, "prefill_attention")
        return float((flops(work.ops) * work.repeat)[kinds].sum())

    assert attention(parts) == pytest.approx(attention(whole), rel=1e-12)
