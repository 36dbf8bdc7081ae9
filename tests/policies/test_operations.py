"""What policies run beside the model: FLOPs and bytes by hand."""

import numpy as np
import pytest

from tierlab.kernels.models.load import load_model
from tierlab.kernels.ops.registry import flops, traffic_bytes
from tierlab.policies.design import make_design

MODEL = load_model("Llama-3.1-8B")
LAYERS, HEADS, KV_HEADS, DIM = 32, 32, 8, 128
ELEMENTS = 2 * KV_HEADS * DIM


def work_of(axes, prefill, batch, queries, keys, ends=True):
    design = make_design("x", axes, "test")
    return design.operations(MODEL, 1, prefill, batch, queries, keys, ends)


def totals(work):
    return (
        float((flops(work.ops) * work.repeat).sum()),
        float((traffic_bytes(work.ops) * work.repeat).sum()),
    )


def product(queries, keys, batch=1):
    """FLOPs and bytes of a score matrix that is written."""
    moved = HEADS * queries * DIM + KV_HEADS * keys * DIM + HEADS * queries * keys
    return 2.0 * batch * HEADS * queries * keys * DIM, 2.0 * batch * moved


@pytest.mark.parametrize("prefill", [True, False])
def test_a_plain_design_runs_nothing_more(prefill):
    assert len(work_of({}, prefill, 4, 1, 100).ops) == 0


def test_h2o_scores_normalises_and_sums_a_prompt_and_copies_what_stays():
    found = totals(work_of({"retention": "h2o"}, True, 1, 1000, 1000))
    made, moved = product(1000, 1000)
    matrix, kept = 2.0 * HEADS * 1000 * 1000, 2 * 2.0 * 200 * ELEMENTS
    assert found[0] == LAYERS * made
    assert found[1] == pytest.approx(LAYERS * (moved + 3 * matrix + kept))


def test_h2o_beside_unfused_attention_only_sums():
    axes = {"retention": {"name": "h2o", "fused": False}}
    found = totals(work_of(axes, True, 1, 1000, 1000))
    assert found[0] == 0
    assert found[1] == LAYERS * (2.0 * HEADS * 1000 * 1000 + 2 * 2.0 * 200 * ELEMENTS)


def test_h2o_pays_at_every_step_and_reads_the_keys_again():
    found = totals(work_of({"retention": "h2o"}, False, 8, 1, 200))
    made, moved = product(1, 200, batch=8)
    assert found[0] == pytest.approx(LAYERS * made)
    assert found[1] == pytest.approx(LAYERS * (moved + 6 * 8 * HEADS * 200 * 2.0))


def test_snapkv_pays_once_at_the_end_of_a_long_prompt():
    chunks = np.array([4096, 4096]), np.array([4096, 8192])
    work = work_of({"retention": "snapkv"}, True, 1, *chunks, np.array([False, True]))
    assert set(work.step) == {1}
    assert totals(work)[0] == LAYERS * product(64, 8192)[0]
    assert len(work_of({"retention": "snapkv"}, True, 1, 1000, 1000).ops) == 0
    assert len(work_of({"retention": "snapkv"}, False, 4, 1, 9000).ops) == 0


def test_streamingllm_turns_its_keys_at_every_step():
    found = totals(work_of({"retention": "sink-window"}, False, 8, 1, 9000))
    assert found == (0.0, LAYERS * 8 * 516 * KV_HEADS * DIM * 4.0)


@pytest.mark.parametrize(("name", "code_bytes"), [("kivi-4", 0.625), ("kivi-2", 0.375)])
def test_kivi_quantises_what_is_new_and_expands_only_without_its_kernels(name, code_bytes):
    new = LAYERS * 8 * ELEMENTS * (2.0 + code_bytes)
    assert totals(work_of({"representation": name}, False, 8, 1, 5000)) == (0.0, new)
    loose = {"representation": {"name": name, "fused": False}}
    old = LAYERS * 8 * 5000 * ELEMENTS * (code_bytes + 2.0 + 2.0)
    assert totals(work_of(loose, False, 8, 1, 5000)) == (0.0, pytest.approx(new + old))


def test_infllm_scores_representatives_at_every_step():
    keys = 128 + 4096 + 100 * 128
    found = totals(work_of({"selection": "topk-blocks"}, False, 8, 1, keys))
    made, moved = product(1, 400, batch=8)
    assert found[0] == pytest.approx(LAYERS * made)
    assert found[1] == pytest.approx(LAYERS * (moved + 8 * 400 * 4.0))


def test_infllm_scores_its_local_window_in_a_prompt():
    """Each of 4,096 last queries sees a full window: 4,096 keys."""
    work = work_of({"selection": "topk-blocks"}, True, 1, 4096, 128 + 2 * 4096)
    made = 2.0 * HEADS * 4096 * 4096 * DIM
    scores = product(1, 4 * 32)[0]
    assert totals(work)[0] == pytest.approx(LAYERS * (made + scores))
