"""Answers that are remembered are those that would be worked out."""

import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_system
from tierlab.hwmodels.time.registry import time_model
from tierlab.hwmodels.time.silicon.once import once
from tierlab.hwmodels.time.times import middles
from tierlab.kernels.ops.table import OpTable

HEADS = {"heads": 32, "kv_heads": 8, "head_dim": 128}


def random_tables(n: int) -> dict[str, OpTable]:
    rng = np.random.default_rng(3)
    keys = np.floor(2.0 ** rng.uniform(2, 16, n))
    batch, spread = rng.integers(1, 300, n), rng.uniform(0, 4, n)
    ragged = {"batch": batch, "q_len": 1, "kv_len": keys, "kv_len_spread": spread, **HEADS}
    chunk = {"batch": 1, "q_len": np.floor(keys / 2) + 1, "kv_len": keys + 1, **HEADS}
    product = {"m": batch, "n": 128 * rng.integers(1, 99, n), "k": 4096}
    return {
        "ragged decode": OpTable.build("decode_attention", "bf16", "bf16", **ragged),
        "8-bit cache": OpTable.build("decode_attention", "bf16", "fp8", **ragged),
        "prefill": OpTable.build("prefill_attention", "bf16", "bf16", **chunk),
        "product": OpTable.build("gemm", "fp8", "fp8", **product),
        "experts": OpTable.build("grouped_gemm", "bf16", "bf16", experts=64, top_k=4, **product),
        "elementwise": OpTable.build("elementwise", "bf16", m=batch, bytes=keys * 1000.0),
    }


def said(times) -> list[bytes]:
    return [c.tobytes() for c in (times.seconds, times.p10, times.p90, times.extrapolated)]


@pytest.mark.parametrize("name", sorted(random_tables(1)))
def test_nobody_writes_into_what_others_will_be_told(name):
    """A second answer starts from what the first left; a third from nothing."""
    ops, models = random_tables(300)[name], []
    for device in ("H200", "A100"):
        system = load_system(device, "test")
        models.append(time_model("silicon", system.gpu, system.peer_link, "test"))
    before = ops.values.copy()
    for model in models * 2:
        fresh = OpTable(ops.op, ops.dtype, ops.kv_dtype, before.copy())
        assert said(model.predict(ops)) == said(model.predict(fresh))
    assert ops.values.tobytes() == before.tobytes()


def test_what_is_asked_again_is_not_worked_out_again():
    asked = []

    @once
    def scaled(ops, factor, power=1.0):
        asked.append(factor)
        return ops["m"] ** power * factor

    one, other = (OpTable.build("gemm", "bf16", m=[2, 3], n=8, k=8) for _ in range(2))
    two, three = (0.5, 4.0), (3.0, 1.0)
    for table, factor in ((one, two), (one, two), (other, two), (one, three), (one, two)):
        assert scaled(table, np.array(factor)).tolist() == [2 * factor[0], 3 * factor[1]]
    assert len(asked) == 5
    kept = np.array(two)
    assert scaled(one, kept) is scaled(one, kept)
    assert len(asked) == 6
    assert scaled(one, kept, power=2.0).tolist() == [2.0, 36.0]
    assert scaled(one, kept).tolist() == [1.0, 12.0]


@pytest.mark.parametrize("name", sorted(random_tables(1)))
def test_durations_are_the_same_where_no_band_is_wanted(name):
    system = load_system("H200", "test")
    model = time_model("silicon", system.gpu, system.peer_link, "test")
    ops = random_tables(300)[name]
    whole, part = model.predict(ops), middles(model, ops)
    for column in ("seconds", "source", "extrapolated", "bias_group"):
        assert getattr(whole, column).tobytes() == getattr(part, column).tobytes()
    assert np.isfinite(whole.p10).all()
    assert np.isnan(part.p10).all()


def test_models_that_know_no_other_way_are_asked_for_all():
    system = load_system("H200", "test")
    model = time_model("roofline", system.gpu, system.peer_link, "test")
    ops = random_tables(300)["prefill"]
    assert said(middles(model, ops)) == said(model.predict(ops))
