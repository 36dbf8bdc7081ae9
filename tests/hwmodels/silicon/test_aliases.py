"""Operations by the names that users give them."""

import polars as pl
import pytest

from tierlab.hwmodels.catalogue import load_system
from tierlab.hwmodels.time.roofline import Roofline, roofline_device
from tierlab.hwmodels.time.silicon.aliases import ALIASES, NAMES
from tierlab.hwmodels.time.silicon.shapes import NEEDED, read_shapes
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.ops.table import OPS

EVERY = {
    "batch": 4, "q_len": 1, "kv_len": 4096, "heads": 32, "kv_heads": 8, "head_dim": 128,
    "experts": 64, "top_k": 8, "state_size": 128, "m": 16, "n": 4096, "k": 4096, "devices": 8,
    "bytes": 1e6,
}  # fmt: skip


def row(op: str, **changed: object):
    return read_shapes(pl.DataFrame({"op": [op]} | {k: [v] for k, v in changed.items()}), "t")


@pytest.mark.parametrize("op", NAMES)
def test_every_name_is_accepted_with_its_columns_and_gets_a_time(op):
    system = load_system("h200-8x")
    ops = row(op, **{c: EVERY[c] for c in ("batch", "q_len", *NEEDED[op])})
    assert ops.op[0] < len(OPS)
    times = Roofline(roofline_device(system.gpu, system.peer_link)).predict(ops)
    assert 1e-7 < times.p10[0] <= times.seconds[0] <= times.p90[0] < 1.0


@pytest.mark.parametrize("op", NAMES)
def test_each_needed_column_is_asked_for(op):
    for missing in NEEDED[op]:
        given = {c: EVERY[c] for c in NEEDED[op] if c != missing}
        default = missing in ("batch", "q_len")
        if default:
            continue
        with pytest.raises(BadInput) as caught:
            row(op, **given)
        assert missing in caught.value.line()


BYTES = {
    "norm": 16 * 4096 * 8,
    "activation": 16 * 4096 * 6,
    "hadamard": 16 * 4096 * 4,
    "gather": 16 * (4096 * 4 + 8),
    "quantise": 16 * 4096 * 3,
    "dequantise": 16 * 4096 * 3,
}


@pytest.mark.parametrize("op", BYTES)
def test_traffic_counts_each_operand_once(op):
    assert row(op, m=16, n=4096)["bytes"].tolist() == [BYTES[op]]


def test_narrow_sides_have_their_width():
    for stored, size in (("fp8", 3.0), ("int4", 2.5), ("int8", 3.0)):
        assert row("quantise", m=2, n=100, kv_dtype=stored)["bytes"].tolist() == [200 * size]


def test_a_rotation_turns_queries_and_keys():
    ops = row("rotary", m=10, heads=32, kv_heads=8, head_dim=128)
    assert ops["bytes"].tolist() == [10 * (40 * 128 * 4 + 256)]


def test_scores_are_one_product_a_kv_head():
    ops = row("score", batch=2, kv_len=1000, heads=32, kv_heads=8, head_dim=128)
    columns = {c: ops[c][0] for c in ("m", "n", "k", "experts", "top_k")}
    assert columns == {"m": 4, "n": 1000, "k": 128, "experts": 16, "top_k": 16}
    assert OPS[ops.op[0]] == "grouped_gemm"


def test_selection_passes_over_the_scores():
    ops = row("top_k", batch=2, kv_len=1000, heads=32)
    assert (ops["m"][0], ops["n"][0], ops["k"][0]) == (64, 1000, 8)
    assert OPS[ops.op[0]] == "sample"


def test_mixed_tables_keep_their_order():
    frame = pl.DataFrame(
        {"op": ["norm", "gemm", "gather"], "m": [1, 2, 3], "n": [8, 8, 8], "k": [None, 16, None]}
    )
    ops = read_shapes(frame, "t")
    assert [OPS[o] for o in ops.op] == ["elementwise", "gemm", "elementwise"]
    assert ops["bytes"].tolist() == [64, 0, 3 * (32 + 8)]
    assert set(ALIASES).isdisjoint(OPS)
