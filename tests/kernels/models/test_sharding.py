"""Tensor parallelism: what is cut, what replicates, and what each rank holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.models.architecture import MLA, Attention
from tierlab.kernels.models.kv import kv_bytes, kv_bytes_per_token, kv_groups, state_bytes
from tierlab.kernels.models.linears import mixer_linears
from tierlab.kernels.models.load import load_model, model_names
from tierlab.kernels.models.weights import (
    WEIGHTS,
    computed_in,
    parameters,
    stored_as,
    weight_bytes,
)

RANKS = (1, 2, 4, 8)
NAMES = sorted(model_names())


def dividing(name: str) -> list[int]:
    """Ranks that divide the model's heads."""
    mixers = [x.mixer for x in load_model(name).layers]
    heads = [m.heads for m in mixers if isinstance(m, Attention | MLA)]
    return [tp for tp in RANKS if all(h % tp == 0 for h in heads)]


@pytest.mark.parametrize("name", NAMES)
def test_two_bytes_a_parameter_in_bf16(name: str) -> None:
    model = load_model(name)
    extra = 2 * 256 * 58 if name == "DeepSeek-V3" else 0  # float32 correction biases
    assert weight_bytes(model, "bf16") == 2 * parameters(model) + extra


@pytest.mark.parametrize("name", NAMES)
def test_ranks_together_hold_the_model_and_what_replicates(name: str) -> None:
    model = load_model(name)
    whole = weight_bytes(model, "bf16")
    sums = [tp * weight_bytes(model, "bf16", tp) for tp in dividing(name)]
    assert sums[0] == whole
    assert sums == sorted(sums)
    assert all(total < 1.30 * whole for total in sums)


def test_llama_replicates_norms_alone_until_ranks_outnumber_kv_heads() -> None:
    model = load_model("Llama-3.1-8B")
    norms = 2.0 * 65 * 4096
    assert 8 * weight_bytes(model, "bf16", 8) == weight_bytes(model, "bf16") + 7 * norms
    kv = 2.0 * 32 * 2 * 8 * 128 * 4096
    assert 16 * weight_bytes(model, "bf16", 16) == pytest.approx(
        weight_bytes(model, "bf16") + 15 * norms + kv, rel=1e-12
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("weights", ["fp8", "int4"])
def test_fewer_bits_are_smaller_and_no_smaller_than_their_bits(name: str, weights: str) -> None:
    model = load_model(name)
    bits = {"fp8": 8, "int4": 4}[weights]
    found = weight_bytes(model, weights)
    assert parameters(model) * bits / 8 < found < weight_bytes(model, "bf16")


def test_fp8_keeps_tables_and_norms_and_adds_block_scales() -> None:
    model = load_model("Llama-3.1-8B")
    matrix = 4096 * (6144 + 4096 + 3 * 14336)
    kept = 2 * 128256 * 4096 + 65 * 4096
    assert weight_bytes(model, "fp8") == 32 * (matrix + 4 * matrix / 128**2) + 2 * kept
    assert weight_bytes(model, "int4") == 32 * (matrix / 2 + 2.5 * matrix / 128) + 2 * kept


def test_mxfp4_stores_experts_and_nothing_else() -> None:
    model = load_model("gpt-oss-120b")
    experts = 36 * 128 * 3 * 2880 * 2880
    saved = experts * (2 - 0.5 - 1 / 32)
    assert weight_bytes(model, "mxfp4") == weight_bytes(model, "bf16") - saved
    with pytest.raises(BadInput, match="has none"):
        weight_bytes(load_model("Llama-3.1-8B"), "mxfp4")


def test_unknown_formats_are_refused() -> None:
    with pytest.raises(BadInput, match="bf16, fp8, int4, mxfp4, nvfp4"):
        weight_bytes(load_model("Llama-3.1-8B"), "int3")
    assert WEIGHTS == ("bf16", "fp8", "int4", "mxfp4", "nvfp4")


def test_nvfp4_has_a_scale_per_16_inputs_and_keeps_what_is_no_linear_layer() -> None:
    model = load_model("Llama-3.1-8B")
    matrix = 4096 * (6144 + 4096 + 3 * 14336)
    kept = 2 * 128256 * 4096 + 65 * 4096
    parts = 3 + 1 + 2 + 1
    assert weight_bytes(model, "nvfp4") == 32 * (matrix * (1 / 2 + 1 / 16) + 4 * parts) + 2 * kept


def test_nvfp4_leaves_mla_but_its_output_in_16_bits() -> None:
    mixer, *_ = [layer.mixer for layer in load_model("DeepSeek-V3").layers]
    said = {w.name: (stored_as(w, "nvfp4"), computed_in(w, "nvfp4"))
            for w in mixer_linears(mixer, 7168, 8)}  # fmt: skip
    assert said.pop("o") == ("fp4", "fp4")
    assert set(said.values()) == {("bf16", "bf16")}


@pytest.mark.parametrize(
    ("name", "tp", "expected"),
    [
        ("Llama-3.1-8B", 1, 131072),
        ("Llama-3.1-8B", 8, 16384),
        ("Llama-3.1-8B", 16, 16384),  # 8 KV heads on 16 ranks: one each, twice
        ("GLM-4-9B", 8, 20480),  # 2 KV heads on 8 ranks
        ("Qwen2.5-7B-Instruct-1M", 4, 14336),
        ("DeepSeek-V3", 1, 70272),
        ("DeepSeek-V3", 8, 70272),  # the latent replicates
        ("Bamba-9B", 2, 6144),
        ("OPT-13B", 8, 102400),
    ],
)
def test_kv_bytes_per_rank(name: str, tp: int, expected: float) -> None:
    assert kv_bytes_per_token(load_model(name), tp=tp) == expected


@pytest.mark.parametrize(("name", "tp"), [("Llama-3.1-8B", 3), ("Qwen2.5-7B-Instruct-1M", 8)])
def test_ranks_that_do_not_divide_are_refused(name: str, tp: int) -> None:
    with pytest.raises(BadInput, match="do not divide"):
        weight_bytes(load_model(name), "bf16", tp)


def test_windowed_layers_need_only_their_tail() -> None:
    model = load_model("gpt-oss-120b")
    groups = {g.window: g for g in kv_groups(model)}
    assert {w: g.layers for w, g in groups.items()} == {0: 18, 128: 18}
    assert groups[0].elements_per_token == groups[128].elements_per_token == 2 * 8 * 64
    assert kv_bytes(model, 100) == 100 * kv_bytes_per_token(model)
    assert kv_bytes(model, 10_000) == (10_000 + 128) * kv_bytes_per_token(model) / 2


def test_mla_caches_one_row_for_key_and_value() -> None:
    (group,) = kv_groups(load_model("DeepSeek-V3"))
    assert (group.kind, group.key_elements, group.value_elements) == ("mla", 576, 0)


def test_mamba_state_is_constant_and_cut_by_heads() -> None:
    model = load_model("Bamba-9B")
    layer = 2 * (128 * 64 * 128 + 3 * (8192 + 2 * 128))
    assert state_bytes(model) == 29 * layer
    halves = 2 * (64 * 64 * 128 + 3 * (4096 + 2 * 128))  # B and C of the one group replicate
    assert state_bytes(model, 2) == 29 * halves
    assert state_bytes(load_model("Llama-3.1-8B")) == 0


@given(st.sampled_from(NAMES), st.integers(0, 10**6), st.integers(0, 10**6))
def test_kv_bytes_grow_with_tokens(name: str, one: int, more: int) -> None:
    model = load_model(name)
    assert kv_bytes(model, one) <= kv_bytes(model, one + more)
    assert kv_bytes(model, one, 1.0) * 2 == kv_bytes(model, one, 2.0)
