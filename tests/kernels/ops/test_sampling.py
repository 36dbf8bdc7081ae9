import pytest

from tierlab.kernels.models.load import load_model
from tierlab.kernels.models.step import dense_work
from tierlab.kernels.ops.registry import traffic_bytes
from tierlab.kernels.ops.sampling import PASSES
from tierlab.kernels.ops.table import OPS


def sample(sampling: str) -> float:
    work = dense_work(load_model("Llama-3.1-8B"), "bf16", 1, 0, 3, sampling)
    ops = work.ops.take(work.ops.op == OPS.index("sample"))
    assert len(ops) == 1
    return float(traffic_bytes(ops)[0])


def test_greedy_reads_fp32_logits_once_and_writes_tokens() -> None:
    assert sample("greedy") == 3 * (128_256 * 4 + 4)


@pytest.mark.parametrize(("sampling", "passes"), [("random", 8), ("top_k_top_p", 45)])
def test_other_samplers_pass_over_the_logits_more_often(sampling: str, passes: int) -> None:
    """Random: 2 temperature, 2 softmax, 1 noise, 3 division. Top-k and top-p: 24 of a sort of
    4-byte keys and 8-byte places in 4 digits, 2 and 7 for the masks, 4 to put values back."""
    assert PASSES[sampling] == passes
    assert sample(sampling) - sample("greedy") == 3 * 128_256 * 4 * passes


def test_logits_are_projected_and_widened_before() -> None:
    work = dense_work(load_model("Llama-3.1-8B"), "bf16", 1, 0, 3)
    names = [OPS[code] for code in work.ops.op]
    assert names == ["elementwise", "gemm", "elementwise", "sample"]
    projection = work.ops.take(work.ops.op == OPS.index("gemm"))
    assert (projection["m"], projection["n"], projection["k"]) == (3, 128_256, 4096)
