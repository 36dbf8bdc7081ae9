"""config.json from a path: what is read, and what is refused and how."""

import json
from pathlib import Path
from typing import Any

import pytest

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.models.architecture import MLA, Attention, Mamba2, Mlp, Moe
from tierlab.kernels.models.families.registry import FAMILIES
from tierlab.kernels.models.load import CATALOGUE, load_model
from tierlab.kernels.models.weights import parameters

LLAMA = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 100,
    "max_position_embeddings": 512,
}  # fmt: skip


def write(folder: Path, keys: dict[str, Any] | str) -> str:
    path = folder / "config.json"
    path.write_text(keys if isinstance(keys, str) else json.dumps(keys))
    return str(path)


def test_a_file_and_its_folder_give_the_same_model(tmp_path: Path) -> None:
    path = write(tmp_path, LLAMA)
    model = load_model(path)
    assert model == load_model(str(tmp_path))
    assert model.name == tmp_path.name
    assert model.source == path


@pytest.mark.parametrize("file", sorted(CATALOGUE.glob("*.json")), ids=lambda p: p.stem)
def test_a_catalogue_file_by_path_is_the_catalogue_model(file: Path) -> None:
    assert parameters(load_model(str(file))) == parameters(load_model(file.stem))


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "missing key": ({"hidden_size": None}, "hidden_size"),
    "negative": ({"vocab_size": -1}, "vocab_size"),
    "zero": ({"num_hidden_layers": 0}, "num_hidden_layers"),
    "string for a number": ({"hidden_size": "64"}, "hidden_size"),
    "NaN": ({"intermediate_size": float("nan")}, "intermediate_size"),
    "infinity": ({"intermediate_size": float("inf")}, "intermediate_size"),
    "fraction": ({"num_hidden_layers": 2.5}, "num_hidden_layers"),
    "truth value for a number": ({"num_attention_heads": True}, "num_attention_heads"),
    "absurd": ({"hidden_size": 10**30}, "hidden_size"),
    "KV heads do not divide": ({"num_key_value_heads": 3}, "num_key_value_heads"),
    "heads do not divide": ({"num_attention_heads": 6, "num_key_value_heads": 2}, "num_attention"),
    "number for a flag": ({"tie_word_embeddings": 1}, "tie_word_embeddings"),
    "list for an object": ({"quantization_config": []}, "quantization_config"),
    "unknown quantisation": ({"quantization_config": {"quant_method": "magic"}}, "magic"),
    "unknown algorithm": (
        {"quantization_config": {"quant_method": "modelopt", "quant_algo": "W4A8_AWQ"}},
        "W4A8_AWQ",
    ),
    "3 bits": ({"quantization_config": {"quant_method": "gptq", "bits": 3}}, "bits"),
    "no type": ({"model_type": None}, "model_type"),
    "type is a number": ({"model_type": 3}, "model_type"),
}


@pytest.mark.parametrize("change", BAD.values(), ids=BAD.keys())
def test_nonsense_is_refused_in_one_line_that_names_file_and_key(
    tmp_path: Path, change: tuple[dict[str, Any], str]
) -> None:
    keys, named = change
    path = write(tmp_path, LLAMA | keys)
    with pytest.raises(BadInput) as caught:
        load_model(path)
    line = caught.value.line()
    assert path in line
    assert named in line
    assert "accepted:" in line
    assert "\n" not in line


FAMILY_BAD: dict[str, dict[str, Any]] = {
    "top_k": {
        "model_type": "qwen3_moe", "num_experts": 4, "num_experts_per_tok": 5,
        "moe_intermediate_size": 8,
    },
    "layer_types": {"model_type": "qwen3", "layer_types": ["full_attention"]},
    "sliding word": {"model_type": "qwen3", "layer_types": ["full_attention", "linear"]},
    "attention layer": {
        "model_type": "bamba", "attn_layer_indices": [7], "mamba_n_heads": 8, "mamba_d_state": 4,
    },
    "mamba heads": {"model_type": "bamba", "mamba_n_heads": 7, "mamba_d_state": 4},
    "projected embeddings": {"model_type": "opt", "ffn_dim": 8, "word_embed_proj_dim": 32},
    "list of words": {"model_type": "bamba", "attn_layer_indices": ["a"]},
    "no layer types": {"model_type": "granitemoehybrid"},
    "no latent": {"model_type": "deepseek_v3"},
}  # fmt: skip


@pytest.mark.parametrize("keys", FAMILY_BAD.values(), ids=FAMILY_BAD.keys())
def test_each_family_refuses_its_own_nonsense(tmp_path: Path, keys: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=r"config\.json"):
        load_model(write(tmp_path, LLAMA | keys))


def test_unknown_types_get_near_misses(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="did you mean llama"):
        load_model(write(tmp_path, LLAMA | {"model_type": "lama"}))


@pytest.mark.parametrize(
    ("text", "expected"), [("{", "not JSON"), ("[1]", "holds a list"), ("", "not JSON")]
)
def test_broken_files(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(BadInput, match=expected):
        load_model(write(tmp_path, text))


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file"):
        load_model(str(tmp_path / "nothing.json"))
    with pytest.raises(BadInput, match="no such file"):
        load_model(str(tmp_path))
    with pytest.raises(BadInput, match="neither a known model nor a file"):
        load_model(str(tmp_path / "nothing"))


MOE = {"num_experts_per_tok": 2, "num_local_experts": 4}
MAMBA = {"mamba_n_heads": 8, "mamba_d_head": "auto", "mamba_d_state": 16, "mamba_n_groups": 2}
FAMILY: dict[str, dict[str, Any]] = {
    "bamba": MAMBA | {"attn_layer_indices": [1]},
    "chatglm": {
        "multi_query_attention": True, "multi_query_group_num": 2, "ffn_hidden_size": 128,
        "seq_length": 512, "num_layers": 2, "add_qkv_bias": True,
    },
    "deepseek_v2": {
        "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8,
        "q_lora_rank": None, "n_routed_experts": 4, "num_experts_per_tok": 2,
        "moe_intermediate_size": 16, "first_k_dense_replace": 1, "n_shared_experts": 2,
    },
    "gemma2": {"sliding_window": 32, "head_dim": 16},
    "gemma3_text": {"sliding_window": 32, "head_dim": 16},
    "glm": {"attention_bias": True},
    "glm4": {},
    "gpt_oss": MOE | {"sliding_window": 32, "head_dim": 16},
    "granitemoehybrid": MAMBA | MOE | {
        "layer_types": ["mamba", "attention"], "shared_intermediate_size": 32,
    },
    "llama": {},
    "mistral": {"sliding_window": 32},
    "mixtral": MOE,
    "opt": {"ffn_dim": 128},
    "phi3": {"sliding_window": 32},
    "qwen2": {"use_sliding_window": True, "max_window_layers": 1, "sliding_window": 32},
    "qwen3": {"head_dim": 32},
    "qwen3_moe": {
        "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16,
        "mlp_only_layers": [0],
    },
    "yi": {},
}  # fmt: skip
FAMILY |= {"deepseek_v3": FAMILY["deepseek_v2"], "kimi_k2": FAMILY["deepseek_v2"]}
FAMILY |= {"gemma3": {"text_config": LLAMA | FAMILY["gemma3_text"]}}


def test_every_registered_family_is_tried_here() -> None:
    assert set(FAMILY) == set(FAMILIES)


@pytest.mark.parametrize("kind", sorted(FAMILY))
def test_every_family_reads_a_small_model(tmp_path: Path, kind: str) -> None:
    model = load_model(write(tmp_path, LLAMA | FAMILY[kind] | {"model_type": kind}))
    assert len(model.layers) == 2
    assert model.hidden == 64
    assert all(isinstance(layer.mixer, Attention | MLA | Mamba2) for layer in model.layers)
    assert all(isinstance(layer.ffn, Mlp | Moe) for layer in model.layers)
    assert parameters(model) > 0


def test_windows_fall_on_the_layers_that_the_family_says(tmp_path: Path) -> None:
    def windows(kind: str, layers: int) -> list[int]:
        keys = LLAMA | FAMILY[kind] | {"model_type": kind, "num_hidden_layers": layers}
        model = load_model(write(tmp_path, keys))
        return [x.mixer.window for x in model.layers if isinstance(x.mixer, Attention)]

    assert windows("gpt_oss", 4) == [32, 0, 32, 0]
    assert windows("gemma2", 4) == [32, 0, 32, 0]
    assert windows("gemma3_text", 7) == [32, 32, 32, 32, 32, 0, 32]
    assert windows("qwen2", 3) == [0, 32, 32]
    assert windows("mistral", 2) == [32, 32]
    assert windows("llama", 2) == [0, 0]


@pytest.mark.parametrize(
    ("quantised", "expected"),
    [
        (None, "bf16"),
        ({"quant_method": "fp8"}, "fp8"),
        ({"quant_method": "awq", "bits": 4}, "int4"),
        ({"quant_method": "gptq", "bits": 8}, "fp8"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "nvfp4"),
        ({"quant_method": "modelopt", "quant_algo": "FP8"}, "fp8"),
        (
            {
                "quant_method": "compressed-tensors",
                "format": "nvfp4-pack-quantized",
                "config_groups": {"group_0": {"weights": {"num_bits": 4, "type": "float"}}},
            },
            "nvfp4",
        ),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"group_0": {"weights": {"num_bits": 8}}},
            },
            "fp8",
        ),
    ],
)
def test_the_stored_format_is_read(
    tmp_path: Path, quantised: dict[str, Any] | None, expected: str
) -> None:
    path = write(tmp_path, LLAMA | {"quantization_config": quantised})
    assert load_model(path).stored_weights == expected
