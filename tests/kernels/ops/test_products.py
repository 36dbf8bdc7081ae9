"""GEMMs, experts, elementwise kernels, sampling and collectives against counted cases."""

import itertools

import numpy as np
import pytest

from tierlab.kernels.ops.registry import OPERATIONS, flops, traffic_bytes
from tierlab.kernels.ops.table import OPS, OpTable


def test_every_operation_is_registered_under_its_name_in_order() -> None:
    assert tuple(OPERATIONS) == OPS
    assert all(operation.name == name for name, operation in OPERATIONS.items())
    assert all(operation.summary for operation in OPERATIONS.values())


@pytest.mark.parametrize(
    ("dtype", "stored", "expected_bytes"),
    [
        ("bf16", "bf16", 2 * (3 * 128 + 128 * 256 + 3 * 256)),
        ("bf16", "none", 2 * (3 * 128 + 128 * 256 + 3 * 256)),
        ("fp8", "fp8", 3 * 128 + 128 * 256 + 4 * 2 + 2 * 3 * 256),
        ("bf16", "int4", 2 * 3 * 128 + 128 * 256 // 2 + 256 * 2.5 + 2 * 3 * 256),
        ("bf16", "fp4", 2 * 3 * 128 + 128 * 256 // 2 + 256 * 4 + 2 * 3 * 256),
        ("fp32", "fp32", 4 * (3 * 128 + 128 * 256 + 3 * 256)),
    ],
)
def test_gemm_reads_inputs_and_stored_weights_and_writes_16_bits(
    dtype: str, stored: str, expected_bytes: float
) -> None:
    ops = OpTable.build("gemm", dtype, stored, m=3, n=256, k=128)
    assert flops(ops)[0] == 2 * 3 * 256 * 128
    assert traffic_bytes(ops)[0] == pytest.approx(expected_bytes, rel=1e-12)


def test_experts_touched_is_the_mean_over_all_routings() -> None:
    experts, top_k, tokens = 4, 2, 3
    choices = list(itertools.combinations(range(experts), top_k))
    touched = [len(set().union(*routing)) for routing in itertools.product(choices, repeat=tokens)]
    ops = OpTable.build(
        "grouped_gemm", "bf16", "bf16", m=tokens, n=8, k=16, experts=experts, top_k=top_k, routing=1
    )
    rows = tokens * top_k * (8 + 16) * 2
    assert traffic_bytes(ops)[0] == pytest.approx(rows + np.mean(touched) * 8 * 16 * 2, rel=1e-12)
    assert flops(ops)[0] == 2 * tokens * top_k * 8 * 16


@pytest.mark.parametrize("routing", [0.0, 1.0, 1.2])
def test_no_tokens_read_no_experts(routing: float) -> None:
    shape = {"n": 8, "k": 16, "experts": 4, "top_k": 2}
    ops = OpTable.build("grouped_gemm", "bf16", "bf16", m=0, routing=routing, **shape)
    assert traffic_bytes(ops)[0] == 0.0


def test_a_token_that_visits_all_experts_reads_all_of_them() -> None:
    ops = OpTable.build("grouped_gemm", "bf16", "bf16", m=1, n=8, k=16, experts=5, top_k=5)
    assert traffic_bytes(ops)[0] == 2 * (5 * (8 + 16) + 5 * 8 * 16)


def test_elementwise_traffic_is_its_column() -> None:
    ops = OpTable.build("elementwise", "bf16", m=7, n=3, bytes=123.0)
    assert traffic_bytes(ops)[0] == 123.0
    assert flops(ops)[0] == 0.0


def test_sampling_reads_logits_once() -> None:
    ops = OpTable.build("sample", "fp32", m=2, n=100)
    assert traffic_bytes(ops)[0] == 2 * (100 * 4 + 4)
    assert flops(ops)[0] == 200


@pytest.mark.parametrize(
    ("op", "factor"),
    [("all_reduce", 2.0), ("all_gather", 5.0), ("reduce_scatter", 1.25), ("all_to_all", 2.0)],
)
def test_collectives_move_their_payload_through_memory(op: str, factor: float) -> None:
    ops = OpTable.build(op, "bf16", devices=4, bytes=1000.0)
    assert traffic_bytes(ops)[0] == 1000.0 * factor
    assert flops(ops)[0] == 0.0


def test_mixed_tables_give_each_row_its_own_formula() -> None:
    parts = [
        OpTable.build("gemm", "bf16", "bf16", m=[1, 2], n=4, k=8),
        OpTable.build("sample", "fp32", m=3, n=10),
        OpTable.build("gemm", "bf16", "bf16", m=5, n=4, k=8),
    ]
    together = OpTable.concat(parts)
    for formula in (flops, traffic_bytes):
        assert formula(together).tolist() == [x for p in parts for x in formula(p)]
    assert len(flops(OpTable.concat([]))) == 0
