"""Attention's counts against loops over every query and key."""

from hypothesis import given
from hypothesis import strategies as st

from tierlab.kernels.ops.registry import flops, traffic_bytes
from tierlab.kernels.ops.table import OpTable

SHAPES = st.tuples(
    st.integers(1, 12),  # q_len
    st.integers(0, 20),  # past
    st.integers(0, 8),  # window
    st.integers(1, 3),  # batch
)


def visible(q_len: int, past: int, window: int) -> list[set[int]]:
    """Keys that each query sees under the causal mask and the window."""
    rows = []
    for query in range(past, past + q_len):
        first = max(0, query - window + 1) if window else 0
        rows.append(set(range(first, query + 1)))
    return rows


@given(SHAPES)
def test_prefill_flops_and_bytes_count_the_visible_pairs(shape: tuple[int, int, int, int]) -> None:
    q_len, past, window, batch = shape
    heads, kv_heads, width, v_width = 6, 2, 8, 4
    ops = OpTable.build(
        "prefill_attention", "bf16", "fp8", batch=batch, q_len=q_len, kv_len=past + q_len,
        heads=heads, kv_heads=kv_heads, head_dim=width, v_head_dim=v_width, window=window,
    )  # fmt: skip
    rows = visible(q_len, past, window)
    pairs, seen = sum(map(len, rows)), len(set().union(*rows))
    assert flops(ops)[0] == 2 * batch * heads * pairs * (width + v_width)
    queries_and_outputs = batch * q_len * heads * (width + v_width) * 2
    cached = batch * seen * kv_heads * (width + v_width) * 1
    assert traffic_bytes(ops)[0] == queries_and_outputs + cached


@given(SHAPES)
def test_the_gradient_is_five_products_and_moves_eight_tensors(
    shape: tuple[int, int, int, int],
) -> None:
    q_len, past, window, batch = shape
    heads, kv_heads, width, v_width = 6, 2, 8, 4
    ops = OpTable.build(
        "prefill_attention_backward", "bf16", "bf16", batch=batch, q_len=q_len,
        kv_len=past + q_len, heads=heads, kv_heads=kv_heads, head_dim=width, v_head_dim=v_width,
        window=window,
    )  # fmt: skip
    rows = visible(q_len, past, window)
    pairs, seen = sum(map(len, rows)), len(set().union(*rows))
    scores_dq_dk, dp_dv = 3 * width, 2 * v_width
    assert flops(ops)[0] == 2 * batch * heads * pairs * (scores_dq_dk + dp_dv)
    q_dq_o_do = batch * q_len * heads * 2 * (width + v_width) * 2
    k_dk_v_dv = batch * seen * kv_heads * 2 * (width + v_width) * 2
    assert traffic_bytes(ops)[0] == q_dq_o_do + k_dk_v_dv


@given(st.integers(1, 64), st.integers(0, 16), st.integers(1, 5))
def test_decode_is_a_prefill_of_one_query(keys: int, window: int, batch: int) -> None:
    columns = {
        "batch": batch, "q_len": 1, "kv_len": keys, "heads": 4, "kv_heads": 4, "head_dim": 8,
        "window": window,
    }  # fmt: skip
    one = OpTable.build("decode_attention", "bf16", "bf16", **columns)
    other = OpTable.build("prefill_attention", "bf16", "bf16", **columns)
    assert flops(one)[0] == flops(other)[0] == 4 * batch * 4 * 8 * min(keys, window or keys)
    assert traffic_bytes(one)[0] == traffic_bytes(other)[0]


def test_chunks_of_a_prompt_add_up_to_the_whole() -> None:
    columns = {"batch": 1, "heads": 8, "kv_heads": 2, "head_dim": 16}
    whole = OpTable.build("prefill_attention", "bf16", "bf16", q_len=100, kv_len=100, **columns)
    parts = OpTable.build(
        "prefill_attention", "bf16", "bf16", q_len=[30, 50, 20], kv_len=[30, 80, 100], **columns
    )
    assert flops(parts).sum() == flops(whole).sum()


def test_absorbed_mla_reads_one_latent_row_for_all_heads() -> None:
    ops = OpTable.build(
        "decode_attention", "bf16", "bf16", batch=1, q_len=1, kv_len=1000, heads=128, kv_heads=1,
        head_dim=576, v_head_dim=512, latent_rank=512,
    )  # fmt: skip
    assert flops(ops)[0] == 2 * 128 * 1000 * (576 + 512)
    assert traffic_bytes(ops)[0] == 2 * (1000 * 576 + 128 * (576 + 512))
