"""Collectives of tensor parallelism in a step: how many, how large, and how long."""

import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_system
from tierlab.hwmodels.time.constants import shipped_constants
from tierlab.hwmodels.time.registry import time_model
from tierlab.kernels.models.load import load_model
from tierlab.kernels.models.step import dense_work
from tierlab.kernels.ops.table import OPS
from tierlab.simulator.serving.steptime import StepTimer

MODEL = "Llama-3.1-70B"
LAYERS, HIDDEN, VOCAB = 80, 8192, 128_256


def timer(tp):
    system = load_system("8xH200", "test")
    times = time_model("roofline", system.gpu, system.peer_link, "test")
    return StepTimer(load_model(MODEL), "bf16", "bf16", tp, times, 131_072, 8192)


def rows(tp, tokens, logits, op):
    work = dense_work(load_model(MODEL), "bf16", tp, tokens, logits)
    mask = work.ops.op == OPS.index(op)
    return work.ops.take(mask), work.repeat[mask]


@pytest.mark.parametrize("tp", [2, 4, 8])
@pytest.mark.parametrize("tokens", [1, 64, 8192])
def test_two_all_reduces_a_layer_of_two_bytes_an_element(tp, tokens):
    ops, repeat = rows(tp, tokens, 0, "all_reduce")
    assert repeat.sum() == 2 * LAYERS + 1
    assert set(ops["bytes"]) == {2.0 * tokens * HIDDEN}
    assert set(ops["devices"]) == {float(tp)}


@pytest.mark.parametrize("tp", [2, 4, 8])
def test_one_gather_of_logits(tp):
    ops, repeat = rows(tp, 64, 8, "all_gather")
    assert repeat.sum() == 1
    assert ops["bytes"].tolist() == [2.0 * 8 * VOCAB / tp]


def test_one_gpu_has_none():
    for op in ("all_reduce", "all_gather"):
        assert len(rows(1, 64, 8, op)[0]) == 0


@pytest.mark.parametrize("tp", [2, 4, 8])
def test_all_reduces_take_their_share_of_a_step(tp):
    """What a step takes beyond its sharded kernels is 161 rings over NVLink 4's 450 GB/s."""
    made, tokens = timer(tp), 4096
    work = dense_work(load_model(MODEL), "bf16", tp, tokens, 0)
    local = work.ops.op != OPS.index("all_reduce")
    seconds = made.times.predict(work.ops.take(local)).seconds
    rest = (seconds * work.repeat[local]).sum()
    known = shipped_constants()["all_reduce"]
    ring = 2 * (tp - 1) / tp * 2.0 * tokens * HIDDEN / (450e9 * known.e_memory) + known.fixed_s
    assert made.dense.at(tokens).sum() - rest == pytest.approx((2 * LAYERS + 1) * ring, rel=1e-9)


def test_more_gpus_make_large_steps_shorter_and_the_gain_fades():
    keys = np.full(64, 8192)
    took = [timer(tp).decode(keys, 1).seconds[0] for tp in (1, 2, 4, 8)]
    assert took[0] > took[1] > took[2] > took[3]
    gains = np.array(took[:-1]) / took[1:]
    assert (gains < 2.0).all()
    assert gains[0] > gains[1] > gains[2]


def test_a_tiny_model_is_slower_on_more_gpus():
    """Its kernels have nothing left to share, but every layer waits for two all-reduces."""
    system = load_system("8xH200", "test")
    times = time_model("roofline", system.gpu, system.peer_link, "test")
    alone, three = (
        StepTimer(load_model("SmolLM2-135M"), "bf16", "bf16", tp, times, 8192, 8192)
        .decode(np.array([100]), 1)
        .seconds[0]
        for tp in (1, 3)
    )
    assert three > alone
