import json

import pytest

LISTED = {
    "hardware": ["H200", "h200-tiered", "A100-80G", "PM1743", "pcie5-x16"],
    "models": ["Llama-3.1-8B", "DeepSeek-V3", "Bamba-9B"],
    "designs": ["baseline"],
    "policies": ["retention/full", "reuse/none"],
    "tiers": ["vllm-offloading", "lmcache"],
    "traces": ["mooncake", "generic"],
    "generators": ["agentic", "poisson"],
    "kernels": ["decode_attention", "gemm"],
    "times": ["roofline", "table"],
    "schedules": ["lean", "flash2"],
}


@pytest.mark.parametrize("kind", LISTED)
def test_list_names_what_exists_with_a_summary(tierlab, kind):
    rows = json.loads(tierlab("list", kind, "--json").stdout)[kind]
    assert {row["name"] for row in rows} >= set(LISTED[kind])
    assert all(row["summary"] for row in rows)


def test_list_alone_lists_every_kind(tierlab):
    text = tierlab("list").stdout
    assert all(f"{kind}:" in text for kind in LISTED)


def test_show_draws_a_system_with_sources(tierlab):
    text = tierlab("show", "hardware", "h200-tiered").stdout
    assert "140.4 GiB HBM3e" in text
    assert "nvidia-smi" in text


@pytest.mark.parametrize(
    ("kind", "name", "word"),
    [
        ("hardware", "8xH200", "nvlink4"),
        ("hardware", "980 pro", "endurance"),
        ("hardware", "nvlink4", "latency"),
        ("model", "meta-llama/Llama-3.1-8B", "8,030,261,248"),
        ("model", "gpt-oss-120b", "window 128"),
        ("design", "baseline", "arXiv"),
        ("policy", "representation/bf16", "arXiv 1905.12322"),
        ("tiers", "sglang-hicache-timeout", "PR 23309"),
        ("trace", "mooncake", "mooncake"),
    ],
)
def test_show_as_text_and_as_json(tierlab, kind, name, word):
    assert word in tierlab("show", kind, name).stdout
    assert json.loads(tierlab("show", kind, name, "--json").stdout)


@pytest.mark.parametrize("command", ["", "run", "replay", "plan", "list", "show", "demo"])
def test_help_has_examples(tierlab, command):
    text = tierlab(*command.split(), "--help").stdout
    assert "Examples:" in text
    assert f"tierlab {command}".strip() in text
